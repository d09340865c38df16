//! Event channels (`public/event_channel.h`): the arguments of `HYPERVISOR_event_channel_op` and the two pending-word formats.

numbers! {
    /// Connect to a port another domain left unbound for the caller: [`EvtchnBindInterdomain`].
    pub const EVTCHNOP_BIND_INTERDOMAIN: u32 = 0;
    /// Bind a virtual interrupt: [`EvtchnBindVirq`].
    pub const EVTCHNOP_BIND_VIRQ: u32 = 1;
    /// Bind a physical interrupt: [`EvtchnBindPirq`].
    pub const EVTCHNOP_BIND_PIRQ: u32 = 2;
    /// Close a port: [`EvtchnClose`].
    pub const EVTCHNOP_CLOSE: u32 = 3;
    /// Raise the remote end: [`EvtchnSend`].
    pub const EVTCHNOP_SEND: u32 = 4;
    /// State of a port: [`EvtchnStatus`].
    pub const EVTCHNOP_STATUS: u32 = 5;
    /// Allocate a port for a named remote domain: [`EvtchnAllocUnbound`].
    pub const EVTCHNOP_ALLOC_UNBOUND: u32 = 6;
    /// Allocate a port for events between the caller's vCPUs: [`EvtchnBindIpi`].
    pub const EVTCHNOP_BIND_IPI: u32 = 7;
    /// Choose the vCPU to notify: [`EvtchnBindVcpu`].
    pub const EVTCHNOP_BIND_VCPU: u32 = 8;
    /// Unmask a port and deliver what is pending: [`EvtchnUnmask`].
    pub const EVTCHNOP_UNMASK: u32 = 9;
    /// Close all ports of a domain and leave the FIFO format: [`EvtchnReset`].
    pub const EVTCHNOP_RESET: u32 = 10;
    /// Enter the FIFO format on a vCPU: [`EvtchnInitControl`].
    pub const EVTCHNOP_INIT_CONTROL: u32 = 11;
    /// Add a page to the FIFO event array: [`EvtchnExpandArray`].
    pub const EVTCHNOP_EXPAND_ARRAY: u32 = 12;
    /// Choose a port's FIFO queue: [`EvtchnSetPriority`].
    pub const EVTCHNOP_SET_PRIORITY: u32 = 13;

    /// Flag of [`EvtchnBindPirq`]: the interrupt may be shared.
    pub const BIND_PIRQ__WILL_SHARE: u32 = 1;

    /// Port not in use.
    pub const EVTCHNSTAT_CLOSED: u32 = 0;
    /// Waiting for its remote domain.
    pub const EVTCHNSTAT_UNBOUND: u32 = 1;
    /// Connected to another port.
    pub const EVTCHNSTAT_INTERDOMAIN: u32 = 2;
    /// Bound to a physical interrupt.
    pub const EVTCHNSTAT_PIRQ: u32 = 3;
    /// Bound to a virtual interrupt.
    pub const EVTCHNSTAT_VIRQ: u32 = 4;
    /// Bound to the caller's own events.
    pub const EVTCHNSTAT_IPI: u32 = 5;

    /// Highest FIFO priority.
    pub const EVTCHN_FIFO_PRIORITY_MAX: u32 = 0;
    /// Priority of a new port.
    pub const EVTCHN_FIFO_PRIORITY_DEFAULT: u32 = 7;
    /// Lowest FIFO priority.
    pub const EVTCHN_FIFO_PRIORITY_MIN: u32 = 15;
    /// Queues of a control block.
    pub const EVTCHN_FIFO_MAX_QUEUES: u32 = 16;
    /// Bit of an event word: pending.
    pub const EVTCHN_FIFO_PENDING: u32 = 31;
    /// Bit of an event word: masked.
    pub const EVTCHN_FIFO_MASKED: u32 = 30;
    /// Bit of an event word: on a queue.
    pub const EVTCHN_FIFO_LINKED: u32 = 29;
    /// Bit of an event word: the guest is changing it.
    pub const EVTCHN_FIFO_BUSY: u32 = 28;
    /// Bits of an event word that name the next port.
    pub const EVTCHN_FIFO_LINK_BITS: u32 = 17;
    /// Mask of the link.
    pub const EVTCHN_FIFO_LINK_MASK: u32 = (1 << 17) - 1;
    /// Ports of the FIFO format.
    pub const EVTCHN_FIFO_NR_CHANNELS: u32 = 1 << 17;

    /// Ports of the two-level format, 64-bit guests.
    pub const EVTCHN_2L_NR_CHANNELS: u32 = 4096;
}

structures! {
    /// [`EVTCHNOP_ALLOC_UNBOUND`].
    pub struct EvtchnAllocUnbound("struct evtchn_alloc_unbound", 8) {
        /// In: domain that gets the port.
        0 dom: u16,
        /// In: domain that may connect.
        2 remote_dom: u16,
        /// Out: the port.
        4 port: u32,
    }

    /// [`EVTCHNOP_BIND_INTERDOMAIN`].
    pub struct EvtchnBindInterdomain("struct evtchn_bind_interdomain", 12) {
        /// In: domain that owns the unbound port.
        0 remote_dom: u16,
        2 _pad: [u8; 2],
        /// In: the unbound port.
        4 remote_port: u32,
        /// Out: the caller's new port.
        8 local_port: u32,
    }

    /// [`EVTCHNOP_BIND_VIRQ`].
    pub struct EvtchnBindVirq("struct evtchn_bind_virq", 12) {
        /// In: `VIRQ_*`.
        0 virq: u32,
        /// In: vCPU; 0 for a global VIRQ.
        4 vcpu: u32,
        /// Out: the port.
        8 port: u32,
    }

    /// [`EVTCHNOP_BIND_PIRQ`].
    pub struct EvtchnBindPirq("struct evtchn_bind_pirq", 12) {
        /// In: physical interrupt as numbered by `PHYSDEVOP_MAP_PIRQ`.
        0 pirq: u32,
        /// In: [`BIND_PIRQ__WILL_SHARE`] or 0.
        4 flags: u32,
        /// Out: the port.
        8 port: u32,
    }

    /// [`EVTCHNOP_BIND_IPI`].
    pub struct EvtchnBindIpi("struct evtchn_bind_ipi", 8) {
        /// In: vCPU to notify.
        0 vcpu: u32,
        /// Out: the port.
        4 port: u32,
    }

    /// [`EVTCHNOP_CLOSE`].
    pub struct EvtchnClose("struct evtchn_close", 4) {
        /// In: the port.
        0 port: u32,
    }

    /// [`EVTCHNOP_SEND`].
    pub struct EvtchnSend("struct evtchn_send", 4) {
        /// In: the caller's port.
        0 port: u32,
    }

    /// [`EVTCHNOP_STATUS`]. What [`bound_to`](Self::bound_to) holds depends on the status.
    pub struct EvtchnStatus("struct evtchn_status", 24) {
        /// In: domain that owns the port.
        0 dom: u16,
        2 _pad: [u8; 2],
        /// In: the port.
        4 port: u32,
        /// Out: `EVTCHNSTAT_*`.
        8 status: u32,
        /// Out: vCPU notified.
        12 vcpu: u32,
        /// Out: remote domain in the low 16 bits (unbound, interdomain), or the PIRQ, or the VIRQ.
        16 bound_to: u32 => "u.virq",
        /// Out: remote port (interdomain).
        20 remote_port: u32 => "u.interdomain.port",
    }

    /// [`EVTCHNOP_BIND_VCPU`].
    pub struct EvtchnBindVcpu("struct evtchn_bind_vcpu", 8) {
        /// In: the port.
        0 port: u32,
        /// In: vCPU to notify from now on.
        4 vcpu: u32,
    }

    /// [`EVTCHNOP_UNMASK`].
    pub struct EvtchnUnmask("struct evtchn_unmask", 4) {
        /// In: the port.
        0 port: u32,
    }

    /// [`EVTCHNOP_RESET`].
    pub struct EvtchnReset("struct evtchn_reset", 2) {
        /// In: the domain.
        0 dom: u16,
    }

    /// [`EVTCHNOP_INIT_CONTROL`].
    pub struct EvtchnInitControl("struct evtchn_init_control", 24) {
        /// In: frame with the control block.
        0 control_gfn: u64,
        /// In: byte offset of the control block in the frame.
        8 offset: u32,
        /// In: vCPU.
        12 vcpu: u32,
        /// Out: [`EVTCHN_FIFO_LINK_BITS`].
        16 link_bits: u8,
        17 _pad: [u8; 7],
    }

    /// [`EVTCHNOP_EXPAND_ARRAY`].
    pub struct EvtchnExpandArray("struct evtchn_expand_array", 8) {
        /// In: frame that becomes the next page of event words.
        0 array_gfn: u64,
    }

    /// [`EVTCHNOP_SET_PRIORITY`].
    pub struct EvtchnSetPriority("struct evtchn_set_priority", 8) {
        /// In: the port.
        0 port: u32,
        /// In: 0 (highest) to 15.
        4 priority: u32,
    }

    /// Per-vCPU control block of the FIFO format, in guest memory.
    pub struct EvtchnFifoControlBlock("struct evtchn_fifo_control_block", 72) {
        /// Bit map of queues that are not empty.
        0 ready: u32,
        4 _rsvd: u32,
        /// First port of each queue.
        8 head: [u32; 16],
    }
}
