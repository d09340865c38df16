//! Arrays of operations: copied in, run and copied back in chunks, restarted when they are long.

use xen_abi::errno::Errno;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use super::super::call::element;
use super::{super::Outcome, Call};
use crate::ids::GuestAddr;

/// Operations copied at a time: what the stack can bear.
const CHUNK: usize = 32;
/// Operations after which others get their chance.
const BUDGET: u32 = 128;

/// Runs `chunk` on the elements of the call's array, in order, a few at a time, and copies them back with their results.
///
/// # Errors
/// `EINVAL` for a negative count; `EFAULT` where the array can not be read or written: what came before it has been done.
pub fn run<T>(call: &mut Call<'_>, mut chunk: impl FnMut(&mut [T])) -> Result<Outcome, Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    let (array, count) = (call.pointer(1), call.arg32(2));
    if count > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    let mut done = 0;
    while done < count {
        if done >= BUDGET {
            return restart::<T>(call, array, done, count);
        }
        let at = element(array, u64::from(done), size_of::<T>())?;
        let mut ops = <[T; CHUNK]>::new_zeroed();
        let fetched = fetch(
            call,
            at,
            &mut ops,
            (count - done).min(CHUNK as u32) as usize,
        )?;
        chunk(&mut ops[..fetched]);
        call.guest.write(at, ops[..fetched].as_bytes())?;
        done += fetched as u32;
    }
    Ok(Outcome::OK)
}

/// Copies up to `wanted` elements in, or just one if not all can be read: then those before the unreadable one still run.
fn fetch<T: FromBytes + IntoBytes>(
    call: &mut Call<'_>,
    at: GuestAddr,
    ops: &mut [T],
    wanted: usize,
) -> Result<usize, Errno> {
    if wanted > 1 && call.guest.read(at, ops[..wanted].as_mut_bytes()).is_ok() {
        return Ok(wanted);
    }
    call.guest.read(at, ops[..1].as_mut_bytes())?;
    Ok(1)
}

fn restart<T>(call: &Call<'_>, array: GuestAddr, done: u32, count: u32) -> Result<Outcome, Errno> {
    let mut args = call.args;
    args[1] = element(array, u64::from(done), size_of::<T>())?.0;
    args[2] = u64::from(count - done);
    Ok(Outcome::Continue(args))
}

#[cfg(test)]
mod tests {
    use xen_abi::grant_table::{
        GNTTABOP_CACHE_FLUSH, GNTTABOP_COPY, GNTTABOP_SWAP_GRANT_REF, GNTTABOP_TRANSFER, GnttabCopy,
    };
    use xen_abi::xen::HYPERVISOR_GRANT_TABLE_OP;

    use super::*;
    use crate::grant::testing::Pair;

    #[test]
    fn long_array_is_restarted_where_it_stopped() {
        let pair = Pair::new();
        let args = [u64::from(GNTTABOP_COPY), 0x1000, 300];
        let size = size_of::<GnttabCopy>() as u64;
        let next = [u64::from(GNTTABOP_COPY), 0x1000 + 128 * size, 172, 0, 0];
        assert_eq!(
            pair.fake
                .call(&pair.mapper, HYPERVISOR_GRANT_TABLE_OP, &args),
            Ok(Outcome::Continue(next))
        );
        let last = [u64::from(GNTTABOP_COPY), 0x1000 + 256 * size, 44, 0, 0];
        assert_eq!(
            pair.fake
                .call(&pair.mapper, HYPERVISOR_GRANT_TABLE_OP, &next),
            Ok(Outcome::Continue(last))
        );
        assert_eq!(
            pair.fake
                .call(&pair.mapper, HYPERVISOR_GRANT_TABLE_OP, &last),
            Ok(Outcome::OK)
        );
    }

    #[test]
    fn operations_that_translated_guests_do_not_have_are_enosys() {
        let pair = Pair::new();
        for op in [
            3,
            GNTTABOP_TRANSFER,
            7,
            9,
            GNTTABOP_CACHE_FLUSH,
            13,
            GNTTABOP_SWAP_GRANT_REF | 1 << 12,
        ] {
            let rc = pair.fake.call(
                &pair.mapper,
                HYPERVISOR_GRANT_TABLE_OP,
                &[u64::from(op), 0x1000, 1],
            );
            assert_eq!(rc, Err(Errno::ENOSYS));
        }
    }
}
