//! `struct xenctl_bitmap`: sets of CPUs and nodes in the caller's memory.

use xen_abi::errno::Errno;
use xen_abi::xen::CtlBitmap;

use super::Call;
use crate::ids::GuestAddr;
use crate::sched::CpuMask;

/// Bytes of a set at most.
const SET_BYTES: usize = 32;

/// Copies the first `nr_bits` bits (those that exist here) of a bitmap in; what the caller does not give is 0, what it gives beyond is
/// dropped.
///
/// # Errors
/// `EFAULT`.
pub fn fetch(call: &mut Call<'_>, map: &CtlBitmap, nr_bits: u32) -> Result<[u8; SET_BYTES], Errno> {
    let mut bytes = [0; SET_BYTES];
    let bits = map.nr_bits.min(nr_bits).min(8 * SET_BYTES as u32);
    let len = bits.div_ceil(8) as usize;
    if len > 0 {
        call.guest.read(GuestAddr(map.bitmap), &mut bytes[..len])?;
    }
    if !bits.is_multiple_of(8) {
        bytes[len - 1] &= !(0xff << (bits % 8));
    }
    Ok(bytes)
}

/// Copies a set out; bytes of the caller's bitmap beyond what exists here are cleared.
///
/// # Errors
/// `EFAULT`.
pub fn store(
    call: &mut Call<'_>,
    map: &CtlBitmap,
    bytes: &[u8],
    nr_bits: u32,
) -> Result<(), Errno> {
    let theirs = map.nr_bits.div_ceil(8) as usize;
    let ours = (nr_bits.div_ceil(8) as usize).min(bytes.len());
    let both = ours.min(theirs);
    if both > 0 {
        call.guest.write(GuestAddr(map.bitmap), &bytes[..both])?;
    }
    clear(call, map.bitmap, both as u64, theirs as u64)
}

/// No set is larger than this, so no caller has reason to give more room.
const CLEAR_LIMIT: u64 = 4096;

fn clear(call: &mut Call<'_>, base: u64, from: u64, to: u64) -> Result<(), Errno> {
    let mut at = from;
    let to = to.min(CLEAR_LIMIT);
    while at < to {
        let len = (to - at).min(SET_BYTES as u64);
        let address = base.checked_add(at).ok_or(Errno::EFAULT)?;
        call.guest
            .write(GuestAddr(address), &[0; SET_BYTES][..len as usize])?;
        at += len;
    }
    Ok(())
}

/// Copies a set of CPUs in.
///
/// # Errors
/// `EFAULT`.
pub fn fetch_cpus(call: &mut Call<'_>, map: &CtlBitmap) -> Result<CpuMask, Errno> {
    let cpus = call.hv.host.cpus;
    fetch(call, map, cpus).map(|bytes| CpuMask::from_bytes(&bytes))
}

/// Copies a set of CPUs out, those that exist.
///
/// # Errors
/// `EFAULT`.
pub fn store_cpus(call: &mut Call<'_>, map: &CtlBitmap, cpus: CpuMask) -> Result<(), Errno> {
    let count = call.hv.host.cpus;
    store(
        call,
        map,
        &cpus.and(&CpuMask::first(count)).to_bytes(),
        count,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::Width;

    #[test]
    fn bits_beyond_either_side_are_dropped_or_cleared() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let map = |nr_bits| CtlBitmap {
            bitmap: 0x1000,
            nr_bits,
            ..CtlBitmap::default()
        };
        fake.put(&dom0, 0x1000, &[u64::MAX; 3]);
        fake.with_call(&dom0, 0, Width::Bits64, &[], |call| {
            assert_eq!(fetch(call, &map(11), 64).unwrap()[..3], [0xff, 0x07, 0]);
            assert_eq!(fetch(call, &map(u32::MAX), 3).unwrap()[..2], [0x07, 0]);
            assert_eq!(fetch(call, &map(0), 64).unwrap(), [0; 32]);
            assert_eq!(store(call, &map(72), &[0xaa; 32], 16), Ok(()));
            assert_eq!(
                store(
                    call,
                    &CtlBitmap {
                        bitmap: u64::MAX,
                        ..map(64)
                    },
                    &[1],
                    64
                ),
                Err(Errno::EFAULT)
            );
        });
        assert_eq!(
            fake.get::<[u64; 2]>(&dom0, 0x1000),
            [0xaaaa, 0xffff_ffff_ffff_ff00]
        );
    }
}
