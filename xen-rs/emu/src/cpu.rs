//! The seam to the virtual CPU: everything an instruction may look at or change, as the emulator needs it.
//!
//! The hypervisor implements [`Cpu`] over its saved guest state; whether a linear address is RAM or a device is decided
//! there, so the emulator itself knows nothing of memory maps.

use crate::flags;

/// What a code segment makes of instruction bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Protection off: 16-bit code, exceptions push no error code.
    Real,
    /// Virtual-8086 mode: 16-bit code at privilege level 3.
    Vm86,
    /// Protected or compatibility mode with a 16-bit code segment.
    Protected16,
    /// Protected or compatibility mode with a 32-bit code segment.
    Protected32,
    /// 64-bit mode.
    Long64,
}

impl Mode {
    /// Mode that follows from CR0, EFER, RFLAGS and the code segment's attributes (APM volume 2, "Operating Modes").
    #[must_use]
    pub const fn of(cr0: u64, efer: u64, rflags: u64, code: SegmentAttributes) -> Self {
        const CR0_PE: u64 = 1;
        const EFER_LMA: u64 = 1 << 10;
        if cr0 & CR0_PE == 0 {
            Self::Real
        } else if efer & EFER_LMA != 0 && code.is_long() {
            Self::Long64
        } else if efer & EFER_LMA == 0 && rflags & flags::VM != 0 {
            Self::Vm86
        } else if code.is_big() {
            Self::Protected32
        } else {
            Self::Protected16
        }
    }

    /// Default address and code size in bits: 16, 32 or 64.
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::Real | Self::Vm86 | Self::Protected16 => 16,
            Self::Protected32 => 32,
            Self::Long64 => 64,
        }
    }
}

/// Name of a segment register; the first six are numbered as instructions encode them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SegmentName {
    /// ES
    Es,
    /// CS
    Cs,
    /// SS
    Ss,
    /// DS
    Ds,
    /// FS
    Fs,
    /// GS
    Gs,
    /// Task register, asked for by the I/O permission check.
    Tr,
}

/// Hidden part of a segment register as the processor caches it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Visible selector.
    pub selector: u16,
    /// Linear address of offset 0.
    pub base: u64,
    /// Last valid offset in bytes (granularity already applied).
    pub limit: u32,
    /// Type and flags.
    pub attributes: SegmentAttributes,
}

/// Segment attributes in the VMCB's packed form (APM volume 2, "Segment State in the VMCB"): descriptor bits 40-47 in
/// bits 0-7, descriptor bits 52-55 in bits 8-11.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct SegmentAttributes(pub u16);

impl SegmentAttributes {
    /// Descriptor type, 4 bits.
    #[must_use]
    pub const fn kind(self) -> u16 {
        self.0 & 0xf
    }

    /// P: the segment is usable.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & 1 << 7 != 0
    }

    /// L: 64-bit code.
    #[must_use]
    pub const fn is_long(self) -> bool {
        self.0 & 1 << 9 != 0
    }

    /// D/B: 32-bit code or stack.
    #[must_use]
    pub const fn is_big(self) -> bool {
        self.0 & 1 << 10 != 0
    }

    /// Whether a code or data segment may be read.
    pub(crate) const fn is_readable(self) -> bool {
        !self.is_code() || self.0 & 0b10 != 0
    }

    /// Whether a code or data segment may be written.
    pub(crate) const fn is_writable(self) -> bool {
        !self.is_code() && self.0 & 0b10 != 0
    }

    /// Whether valid offsets lie above the limit instead of below.
    pub(crate) const fn is_expand_down(self) -> bool {
        !self.is_code() && self.0 & 0b100 != 0
    }

    const fn is_code(self) -> bool {
        self.0 & 0b1000 != 0
    }
}

/// What a memory access is for; decides the permissions an adapter checks in the guest's page tables.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Plain read at the current privilege level.
    Read,
    /// Plain write at the current privilege level.
    Write,
    /// One half of a read-modify-write. The read half must already fail if the write would.
    Modify,
    /// Read of a system table (the task state segment), with supervisor rights at any privilege level.
    System,
}

/// Why an instruction could not complete. The guest's state is then as before it (or before the current iteration).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The guest gets this exception.
    Exception {
        /// Vector number.
        vector: u8,
        /// Error code to push; `None` for vectors without one and for all vectors in real mode.
        error_code: Option<u32>,
        /// Faulting linear address of a page fault.
        cr2: Option<u64>,
    },
    /// A device access has been handed to someone else. Call [`crate::emulate`] again when the answer is there: it repeats
    /// the instruction (or iteration) from its start, so the adapter must satisfy the accesses answered so far again from
    /// what it kept, until [`Cpu::commit`]. The guest may have changed the code meanwhile: an answer fits only an access of
    /// the same address, size and direction.
    Pending,
    /// Outside what the emulator does. The reason is for the log; if the guest ran at privilege level 3, punish only the
    /// program (#UD) and not the domain.
    Unhandleable(&'static str),
}

impl Fault {
    /// An exception that has no error code.
    #[must_use]
    pub const fn bare(vector: u8) -> Self {
        Self::Exception {
            vector,
            error_code: None,
            cr2: None,
        }
    }

    /// #UD.
    #[must_use]
    pub const fn invalid_opcode() -> Self {
        Self::bare(6)
    }

    /// #GP with error code 0, or without one in real mode.
    #[must_use]
    pub const fn general_protection(mode: Mode) -> Self {
        Self::with_zero_code(13, mode)
    }

    /// #SS with error code 0, or without one in real mode.
    #[must_use]
    pub const fn stack(mode: Mode) -> Self {
        Self::with_zero_code(12, mode)
    }

    const fn with_zero_code(vector: u8, mode: Mode) -> Self {
        let error_code = if matches!(mode, Mode::Real) {
            None
        } else {
            Some(0)
        };
        Self::Exception {
            vector,
            error_code,
            cr2: None,
        }
    }
}

/// The virtual CPU as the emulator sees it.
///
/// Linear addresses are already checked against segment limits and for canonical form. An access may cross pages; the
/// adapter splits it. A method that returns an error must have had no effect the guest can see.
pub trait Cpu {
    /// General register 0-15 (RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8-R15), all 64 bits.
    fn gpr(&self, index: usize) -> u64;
    /// Sets all 64 bits of general register 0-15.
    fn set_gpr(&mut self, index: usize, value: u64);
    /// Instruction pointer: offset in the code segment.
    fn rip(&self) -> u64;
    /// Sets the instruction pointer.
    fn set_rip(&mut self, value: u64);
    /// RFLAGS.
    fn rflags(&self) -> u64;
    /// Sets RFLAGS.
    fn set_rflags(&mut self, value: u64);
    /// Current mode, see [`Mode::of`].
    fn mode(&self) -> Mode;
    /// Current privilege level, 0-3.
    fn cpl(&self) -> u8;
    /// Cached segment register.
    fn segment(&self, name: SegmentName) -> Segment;
    /// Loads a segment register (never CS or TR) as MOV and POP do in the current mode, with all checks.
    fn load_segment(&mut self, name: SegmentName, selector: u16) -> Result<(), Fault>;
    /// Copies instruction bytes. Returns how many are readable in a row (at least 1), a fault if the first is not.
    fn fetch(&mut self, linear: u64, bytes: &mut [u8]) -> Result<usize, Fault>;
    /// Reads 1, 2, 4, 8 or 16 bytes; `name` is the segment used, for adapters that care.
    fn read(
        &mut self,
        name: SegmentName,
        linear: u64,
        bytes: &mut [u8],
        access: Access,
    ) -> Result<(), Fault>;
    /// Writes 1, 2, 4, 8 or 16 bytes.
    fn write(
        &mut self,
        name: SegmentName,
        linear: u64,
        bytes: &[u8],
        access: Access,
    ) -> Result<(), Fault>;
    /// Fails as a write of `len` bytes would, without writing. Asked before a device is read whose answer would be lost.
    fn probe_write(&mut self, name: SegmentName, linear: u64, len: usize) -> Result<(), Fault>;
    /// Reads a port of `size` 1, 2 or 4 bytes. Permission is already checked.
    fn port_in(&mut self, port: u16, size: u8) -> Result<u32, Fault>;
    /// Writes a port of `size` 1, 2 or 4 bytes. Permission is already checked.
    fn port_out(&mut self, port: u16, size: u8, value: u32) -> Result<(), Fault>;
    /// Reads control register 0, 2, 3, 4 or 8.
    fn read_cr(&mut self, number: u8) -> Result<u64, Fault>;
    /// Writes control register 0, 2, 3, 4 or 8 after checking the value. The privilege level is already checked.
    fn write_cr(&mut self, number: u8, value: u64) -> Result<(), Fault>;
    /// Reads debug register 0-3, 6 or 7. DR7.GD is the adapter's to honour.
    fn read_dr(&mut self, number: u8) -> Result<u64, Fault>;
    /// Writes debug register 0-3, 6 or 7. DR7.GD is the adapter's to honour.
    fn write_dr(&mut self, number: u8, value: u64) -> Result<(), Fault>;
    /// Reads XMM register 0-15.
    fn read_xmm(&mut self, _index: usize) -> Result<[u8; 16], Fault> {
        Err(Fault::Unhandleable("vector registers are not reachable"))
    }
    /// Writes XMM register 0-15.
    fn write_xmm(&mut self, _index: usize, _value: [u8; 16]) -> Result<(), Fault> {
        Err(Fault::Unhandleable("vector registers are not reachable"))
    }
    /// An instruction, or one iteration of a repeated one, is complete: answers kept for [`Fault::Pending`] are used up.
    fn commit(&mut self) {}
    /// Width of a linear address in 64-bit mode: 48, or 57 with five-level paging.
    fn linear_bits(&self) -> u32 {
        48
    }
}
