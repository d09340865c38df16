//! RFLAGS bits (APM volume 2, "RFLAGS Register").

/// Carry.
pub(crate) const CF: u64 = 1 << 0;
/// Parity of the low result byte.
pub(crate) const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub(crate) const AF: u64 = 1 << 4;
/// Zero.
pub(crate) const ZF: u64 = 1 << 6;
/// Sign.
pub(crate) const SF: u64 = 1 << 7;
/// Single step.
pub(crate) const TF: u64 = 1 << 8;
/// Interrupts enabled.
pub(crate) const IF: u64 = 1 << 9;
/// String direction.
pub(crate) const DF: u64 = 1 << 10;
/// Overflow.
pub(crate) const OF: u64 = 1 << 11;
/// Resume: suppresses one instruction breakpoint.
pub(crate) const RF: u64 = 1 << 16;
/// Virtual-8086 mode.
pub(crate) const VM: u64 = 1 << 17;

/// The six flags arithmetic changes.
pub(crate) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// I/O privilege level.
pub(crate) const fn iopl(flags: u64) -> u8 {
    (flags >> 12 & 3) as u8
}
