//! Vectors of the machine for dom0's interrupts: pins of I/O APICs and messages of devices.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use xen_abi::errno::Errno;
use xen_core::lock::{Lock, Rank};
use xen_core::vpci::{MsiMessage, Sbdf};

use crate::cpu::percpu::{PerCpu, all_cpus};
use crate::interrupts::io_apic::{self, Signal};
use crate::interrupts::{Source, local_apic};
use crate::vioapic::{PinChange, Polarity};
use crate::vlapic::Delivery;

const FIRST_VECTOR: u8 = 0x30;
const LAST_VECTOR: u8 = 0xef;
/// Where devices write their messages (Intel SDM volume 3, "Message Address Register Format").
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

static NEXT_CPU: AtomicU32 = AtomicU32::new(0);

/// Takes a free vector of some CPU that devices reach for `source`; CPUs take turns.
fn allocate(source: Source) -> Option<(&'static PerCpu, u8)> {
    let cpus = all_cpus();
    let first = NEXT_CPU.fetch_add(1, SeqCst) as usize;
    (0..cpus.len())
        .map(|n| cpus[(first + n) % cpus.len()])
        .filter(|cpu| local_apic::is_device_target(cpu.apic_id))
        .find_map(|cpu| {
            let free = |&vector: &u8| {
                cpu.vectors[usize::from(vector)]
                    .compare_exchange(0, source.to_word(), SeqCst, SeqCst)
                    .is_ok()
            };
            (FIRST_VECTOR..=LAST_VECTOR)
                .find(free)
                .map(|vector| (cpu, vector))
        })
}

fn release(cpu: &PerCpu, vector: u8) {
    cpu.vectors[usize::from(vector)].store(Source::None.to_word(), SeqCst);
}

/// Pins that have a vector: (gsi, CPU, vector, level).
static PINS: Lock<Vec<(u32, &'static PerCpu, u8)>> = Lock::new(Rank::Irq, Vec::new());

/// The GSI the hypervisor keeps for its console; `u32::MAX` for none.
static CONSOLE_GSI: AtomicU32 = AtomicU32::new(u32::MAX);

/// Takes a GSI for the console's serial port: dom0's redirection entry for it has no effect on the hardware. `false` without a vector.
pub fn claim_for_console(gsi: u32) -> bool {
    let Some((cpu, vector)) = allocate(Source::Serial) else {
        return false;
    };
    CONSOLE_GSI.store(gsi, SeqCst);
    let signal = Signal {
        level: false,
        active_low: false,
    };
    io_apic::route(gsi, vector, cpu.apic_id, signal, false)
}

/// dom0 changed a redirection entry: binds the real pin on the first unmasking, then follows the mask.
pub fn bind_pin(gsi: u32, change: &PinChange) {
    if gsi == CONSOLE_GSI.load(SeqCst) {
        return;
    }
    if change.after.is_masked() {
        return io_apic::set_mask(gsi, true);
    }
    let level = change.after.is_level();
    let signal = Signal {
        level,
        active_low: change.after.polarity() == Polarity::ActiveLow,
    };
    let source = Source::Gsi {
        gsi: gsi as u16,
        level,
    };
    let bound = {
        let mut pins = PINS.lock();
        let known = pins
            .iter()
            .find(|(g, ..)| *g == gsi)
            .map(|&(_, cpu, vector)| (cpu, vector));
        known.or_else(|| {
            let (cpu, vector) = allocate(source)?;
            pins.push((gsi, cpu, vector));
            Some((cpu, vector))
        })
    };
    let Some((cpu, vector)) = bound else {
        xen_core::error!("no vector left for GSI {gsi}");
        return;
    };
    cpu.vectors[usize::from(vector)].store(source.to_word(), SeqCst);
    // A level-triggered pin whose interrupt dom0 is still handling is opened by its end of interrupt.
    let masked = level && change.after.remote_irr();
    io_apic::route(gsi, vector, cpu.apic_id, signal, masked);
}

struct Message {
    sbdf: Sbdf,
    entry: u16,
    guest: MsiMessage,
    cpu: &'static PerCpu,
    vector: u8,
}

/// Message-signalled interrupts in use.
#[derive(Default)]
pub struct Messages {
    all: Vec<Option<Message>>,
}

impl Messages {
    fn find(&self, sbdf: Sbdf, entry: u16) -> Option<usize> {
        self.all.iter().position(|m| {
            m.as_ref()
                .is_some_and(|m| m.sbdf == sbdf && m.entry == entry)
        })
    }

    /// Binds a vector to the message dom0 wants; the result is what the device must write.
    ///
    /// # Errors
    /// `ENOSPC` when all vectors are taken.
    pub fn enable(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno> {
        if self.find(sbdf, entry).is_some() {
            return self.update(sbdf, entry, guest);
        }
        let index = self
            .all
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.all.len());
        let number = u16::try_from(index).map_err(|_| Errno::ENOSPC)?;
        let (cpu, vector) = allocate(Source::Message(number)).ok_or(Errno::ENOSPC)?;
        let message = Some(Message {
            sbdf,
            entry,
            guest,
            cpu,
            vector,
        });
        if index == self.all.len() {
            self.all.push(message);
        } else {
            self.all[index] = message;
        }
        Ok(host_message(cpu, vector))
    }

    /// dom0 moved the interrupt; the machine's vector stays.
    ///
    /// # Errors
    /// `ENOENT` if it is not bound.
    pub fn update(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno> {
        let index = self.find(sbdf, entry).ok_or(Errno::ENOENT)?;
        let message = self.all[index].as_mut().ok_or(Errno::ENOENT)?;
        message.guest = guest;
        Ok(host_message(message.cpu, message.vector))
    }

    /// Gives the vector back.
    pub fn disable(&mut self, sbdf: Sbdf, entry: u16) {
        if let Some(message) = self
            .find(sbdf, entry)
            .and_then(|index| self.all[index].take())
        {
            release(message.cpu, message.vector);
        }
    }

    /// What dom0 gets when the message with this number arrives.
    #[must_use]
    pub fn delivery(&self, index: u16) -> Option<Delivery> {
        let message = self.all.get(usize::from(index))?.as_ref()?;
        Delivery::from_msi(message.guest.address, message.guest.data)
    }
}

fn host_message(cpu: &PerCpu, vector: u8) -> MsiMessage {
    MsiMessage {
        address: MESSAGE_ADDRESS | u64::from(cpu.apic_id & 0xff) << 12,
        data: u32::from(vector),
    }
}
