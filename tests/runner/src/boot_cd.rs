//! Makes the CD that GRUB boots: the hypervisor by `multiboot2`, dom0's kernel and initramfs by `module2`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file on the CD, made of others put one after another.
pub struct Module<'a> {
    /// What it is made of.
    pub parts: Vec<Part<'a>>,
    /// The words after its name in GRUB's menu.
    pub args: String,
    /// GRUB must hand it over as it is, even if it is compressed.
    pub is_raw: bool,
}

/// A piece of a module.
pub enum Part<'a> {
    /// A file of this machine.
    File(&'a Path),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Writes `directory/boot.iso` and returns its path.
pub fn make(
    directory: &Path,
    hypervisor: &Path,
    hypervisor_args: &str,
    modules: &[Module<'_>],
) -> Result<PathBuf, String> {
    let files = directory.join("iso");
    let cd = directory.join("boot.iso");
    lay_out(&files, hypervisor, hypervisor_args, modules)
        .map_err(|error| format!("boot CD: {error}"))?;
    let output = Command::new("grub-mkrescue")
        .arg("-o")
        .arg(&cd)
        .arg(&files)
        .output();
    let output = output.map_err(|error| format!("grub-mkrescue: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "grub-mkrescue failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    fs::remove_dir_all(&files).map_err(|error| format!("{}: {error}", files.display()))?;
    Ok(cd)
}

fn lay_out(
    files: &Path,
    hypervisor: &Path,
    hypervisor_args: &str,
    modules: &[Module<'_>],
) -> io::Result<()> {
    let boot = files.join("boot");
    fs::create_dir_all(boot.join("grub"))?;
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", hypervisor.display()))
    };
    fs::copy(hypervisor, boot.join("hypervisor")).map_err(named)?;
    for (number, module) in modules.iter().enumerate() {
        let mut file = fs::File::create(boot.join(format!("module{number}")))?;
        for part in &module.parts {
            match part {
                Part::File(path) => io::copy(&mut fs::File::open(path)?, &mut file)?,
                Part::Bytes(bytes) => io::copy(&mut bytes.as_slice(), &mut file)?,
            };
        }
    }
    fs::write(boot.join("grub/grub.cfg"), menu(hypervisor_args, modules))
}

fn menu(hypervisor_args: &str, modules: &[Module<'_>]) -> String {
    let mut menu = String::from(
        "serial --unit=0 --speed=115200\nterminal_output serial\nset timeout=0\nmenuentry test {\n",
    );
    menu += &format!(" multiboot2 /boot/hypervisor placeholder {hypervisor_args}\n");
    for (number, module) in modules.iter().enumerate() {
        let raw = if module.is_raw { "--nounzip " } else { "" };
        menu += &format!(" module2 {raw}/boot/module{number} {}\n", module.args);
    }
    menu + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_has_one_line_a_module() {
        let kernel = Module {
            parts: vec![],
            args: "placeholder console=hvc0".into(),
            is_raw: false,
        };
        let initramfs = Module {
            parts: vec![],
            args: String::new(),
            is_raw: true,
        };
        let menu = menu("dom0_mem=1M", &[kernel, initramfs]);
        assert!(menu.contains("multiboot2 /boot/hypervisor placeholder dom0_mem=1M\n"));
        assert!(menu.contains("module2 /boot/module0 placeholder console=hvc0\n"));
        assert!(menu.contains("module2 --nounzip /boot/module1"));
    }
}
