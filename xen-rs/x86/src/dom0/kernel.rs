//! dom0's kernel, unpacked.

use kernel_image::{Kernel, Payload};

use super::BuildError;

/// Unpacks a kernel and checks that it can be dom0's.
///
/// # Errors
/// [`BuildError::Kernel`], [`BuildError::NotDom0Capable`].
pub fn unpack(payload: &Payload<'_>) -> Result<Kernel, BuildError> {
    let kernel = Kernel::unpack(payload)?;
    if kernel.image.notes.denies_dom0() {
        return Err(BuildError::NotDom0Capable);
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use kernel_image::{KernelError, sample};

    #[test]
    fn kernel_that_excludes_being_dom0_is_refused() {
        let unpack = |notes: &[u8]| {
            let file = sample::elf64(&[(0x1000, &[0; 4], 4)], notes);
            unpack(&Payload::Elf(&file)).map(|_| ())
        };
        let entry = sample::note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        assert_eq!(unpack(&entry), Ok(()));
        let features = sample::note(b"Xen\0", 17, &1_u32.to_le_bytes());
        let refused = unpack(&[entry, features].concat());
        assert_eq!(refused, Err(BuildError::NotDom0Capable));
    }

    #[test]
    fn what_is_no_kernel_is_named() {
        let no_kernel = BuildError::from(KernelError::NotAKernel).to_string();
        assert_eq!(
            no_kernel,
            "dom0 kernel is neither a bzImage nor an ELF file"
        );
        let refused = unpack(&Payload::Elf(b"no ELF")).unwrap_err().to_string();
        assert!(refused.starts_with("dom0 kernel's ELF structure is invalid: "));
    }
}
