//! Makes dom0's initramfs, with the demonstration guest inside, from the unpacked Debian packages.
//!
//! `tests/dom0/contents` lists what goes in. Shared libraries and module dependencies are followed here, so a file that the
//! packages lack is an error now and not a riddle at boot.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::cpio::Archive;
use crate::elf;

const SOURCES: &str = "tests/dom0";
const LIBRARY_DIRECTORIES: [&str; 3] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib",
    "usr/lib/x86_64-linux-gnu/systemd",
];
const MERGED_DIRECTORIES: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const EMPTY_DIRECTORIES: [&str; 7] = ["proc", "sys", "dev", "run", "tmp", "var/lib", "var/log"];

/// The files a Debian dom0 boots from.
pub struct Dom0Files {
    /// Debian's kernel as packaged.
    pub kernel: PathBuf,
    /// The initramfs made here.
    pub initramfs: PathBuf,
}

/// What is in dom0's initramfs beside what always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Debian's tools.
    pub stock: bool,
    /// systemd.
    pub systemd: bool,
}

impl Extras {
    const fn file_name(self) -> &'static str {
        match (self.stock, self.systemd) {
            (true, false) => "dom0.initramfs",
            (false, false) => "bare.initramfs",
            (true, true) => "dom0-systemd.initramfs",
            (false, true) => "bare-systemd.initramfs",
        }
    }

    /// Whether a line of the list that begins with this word is for it.
    fn wants(self, word: &str) -> Option<bool> {
        match word {
            "stock" => Some(self.stock),
            "systemd" => Some(self.systemd),
            _ => None,
        }
    }
}

/// Held while the file is made: the first scenario that needs it makes it for all.
static MAKING: Mutex<()> = Mutex::new(());

/// Makes the initramfs below `out`, unless the one there is newer than everything it is made of.
pub fn prepare(debian: &Path, out: &Path, extras: Extras) -> Result<Dom0Files, String> {
    let root = debian.join("root");
    let stamp = debian.join("complete");
    if !stamp.exists() {
        return Err(format!(
            "no Debian packages in {}: run tests/debian.sh",
            debian.display()
        ));
    }
    let kernel = kernel_of(&root)?;
    let initramfs = out.join(extras.file_name());
    let mut inputs = vec![
        stamp,
        std::env::current_exe().map_err(|error| error.to_string())?,
    ];
    inputs.extend(
        ["contents", "init", "guest-init", "demo.cfg"].map(|name| Path::new(SOURCES).join(name)),
    );
    let _only_one = MAKING.lock();
    if !is_newer(&initramfs, &inputs) {
        fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
        let archive = build(&root, &kernel, extras)?;
        compress(&archive, &initramfs)?;
    }
    Ok(Dom0Files { kernel, initramfs })
}

/// Debian's kernel as packaged.
pub fn kernel(debian: &Path) -> Result<PathBuf, String> {
    kernel_of(&debian.join("root"))
}

/// An archive that puts one scenario's script, its guests' kernels and its files into dom0, to be appended to the initramfs.
pub fn scenario_archive(
    script: Option<&Path>,
    kernels: &[PathBuf],
    files: Option<&Path>,
) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    if let Some(path) = script {
        archive.file("scenario.sh", true, &read(path)?);
    }
    for path in kernels {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("guest/{name}"), false, &read(path)?);
    }
    if let Some(directory) = files {
        let mut paths = Vec::new();
        collect_files(directory, &mut paths)?;
        for path in paths {
            let name = path.strip_prefix(directory).unwrap_or(&path).display();
            archive.file(&format!("files/{name}"), false, &read(&path)?);
        }
    }
    Ok(archive.finish())
}

fn is_newer(made: &Path, inputs: &[PathBuf]) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    time(made).is_some_and(|made| {
        inputs
            .iter()
            .all(|input| time(input).is_some_and(|input| input <= made))
    })
}

fn kernel_of(root: &Path) -> Result<PathBuf, String> {
    let boot = root.join("boot");
    let entries = fs::read_dir(&boot).map_err(|error| format!("{}: {error}", boot.display()))?;
    let mut kernels = entries.filter_map(|entry| Some(entry.ok()?.path()));
    kernels
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        })
        .ok_or_else(|| format!("no kernel in {}", boot.display()))
}

fn build(root: &Path, kernel: &Path, extras: Extras) -> Result<Vec<u8>, String> {
    let contents = read(&Path::new(SOURCES).join("contents"))?;
    let contents = String::from_utf8_lossy(&contents);
    let mut tree = Tree::new(root);
    let (mut modules, mut guest_modules) = (Vec::new(), Vec::new());
    for line in contents
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let words: Vec<_> = line.split_whitespace().collect();
        let words = match extras.wants(words[0]) {
            Some(true) => &words[1..],
            Some(false) => continue,
            None => &words[..],
        };
        match *words {
            ["program", path] => tree.program(inside(path))?,
            ["tree", path] => tree.directory(inside(path))?,
            ["link", path, target] => tree.link(inside(path), target),
            ["module", name] => modules.push(name),
            ["guest-module", name] => guest_modules.push(name),
            _ => return Err(format!("{SOURCES}/contents: cannot understand {line:?}")),
        }
    }
    tree.applets()?;
    let mut archive = tree.archive;
    add_modules(&mut archive, root, &modules)?;
    archive.file("init", true, &read(&Path::new(SOURCES).join("init"))?);
    archive.file(
        "etc/xen/demo.cfg",
        false,
        &read(&Path::new(SOURCES).join("demo.cfg"))?,
    );
    archive.file("guest/vmlinuz", false, &read(kernel)?);
    archive.file("guest/initrd", false, &guest_initrd(root, &guest_modules)?);
    Ok(archive.finish())
}

fn guest_initrd(root: &Path, modules: &[&str]) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    for directory in ["proc", "sys", "dev"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", true, &read(&root.join("usr/bin/busybox"))?);
    archive.link("bin/sh", "busybox");
    add_modules(&mut archive, root, modules)?;
    archive.file("init", true, &read(&Path::new(SOURCES).join("guest-init"))?);
    Ok(archive.finish())
}

/// Adds the modules and what they depend on as `modules/NAME.ko`, and `modules/order` with the names in loading order.
fn add_modules(archive: &mut Archive, root: &Path, names: &[&str]) -> Result<(), String> {
    let mut files = Vec::new();
    collect_files(&root.join("usr/lib/modules"), &mut files)?;
    let mut order = Vec::new();
    for name in names {
        add_module(archive, &files, name, &mut order)?;
    }
    archive.file("modules/order", false, (order.join("\n") + "\n").as_bytes());
    Ok(())
}

fn add_module(
    archive: &mut Archive,
    files: &[PathBuf],
    name: &str,
    order: &mut Vec<String>,
) -> Result<(), String> {
    // Linux treats '-' and '_' in module names alike, and its dependency lists use '_'.
    let plain = |text: &str| text.replace('-', "_");
    let name = plain(name);
    if order.contains(&name) {
        return Ok(());
    }
    let stem = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str()?.split_once(".ko"))
            .map(|(stem, _)| plain(stem))
    };
    let path = files
        .iter()
        .find(|path| stem(path).as_deref() == Some(&name));
    let path = path.ok_or_else(|| format!("Debian's kernel has no module {name}"))?;
    let bytes = if path.extension().is_some_and(|end| end == "xz") {
        output_of(Command::new("xz").arg("-dc").arg(path))?
    } else {
        read(path)?
    };
    for needed in
        elf::module_depends(&bytes).map_err(|error| format!("{}: {error}", path.display()))?
    {
        add_module(archive, files, &needed, order)?;
    }
    archive.file(&format!("modules/{name}.ko"), false, &bytes);
    order.push(name);
    Ok(())
}

/// All files and links below a directory, sorted.
pub fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            collect_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// dom0's files as they are gathered from the unpacked packages.
struct Tree<'a> {
    root: &'a Path,
    archive: Archive,
    present: BTreeSet<String>,
}

impl<'a> Tree<'a> {
    fn new(root: &'a Path) -> Self {
        let mut archive = Archive::default();
        for name in MERGED_DIRECTORIES {
            archive.directory(&format!("usr/{name}"));
            archive.link(name, &format!("usr/{name}"));
        }
        for name in EMPTY_DIRECTORIES {
            archive.directory(name);
        }
        Self {
            root,
            archive,
            present: BTreeSet::new(),
        }
    }

    fn program(&mut self, path: &str) -> Result<(), String> {
        if !self.present.insert(path.into()) {
            return Ok(());
        }
        let bytes = read(&self.root.join(path))?;
        let needs = elf::needs(&bytes).map_err(|error| format!("{path}: {error}"))?;
        self.archive.file(path, true, &bytes);
        if let Some(interpreter) = needs.interpreter {
            // The linker is asked for by its name in /lib64, which is a link into /usr here.
            self.program(&format!("usr/{}", inside(&interpreter)))?;
        }
        for library in needs
            .libraries
            .iter()
            .filter(|name| !name.starts_with("ld-linux"))
        {
            let places = LIBRARY_DIRECTORIES.map(|directory| format!("{directory}/{library}"));
            let place = places.iter().find(|place| self.root.join(place).exists());
            self.program(
                place.ok_or_else(|| {
                    format!("{path} needs {library}, which no fetched package has")
                })?,
            )?;
        }
        Ok(())
    }

    fn link(&mut self, path: &str, target: &str) {
        if self.present.insert(path.into()) {
            self.archive.link(path, target);
        }
    }

    fn directory(&mut self, path: &str) -> Result<(), String> {
        let mut files = Vec::new();
        collect_files(&self.root.join(path), &mut files)?;
        for file in files {
            let name = file
                .strip_prefix(self.root)
                .expect("found below the root")
                .to_string_lossy()
                .into_owned();
            if let Ok(target) = fs::read_link(&file) {
                self.link(&name, &target.to_string_lossy());
            } else {
                self.program(&name)?;
            }
        }
        Ok(())
    }

    /// Gives every busybox applet a name, except where the real program is there.
    fn applets(&mut self) -> Result<(), String> {
        let list = output_of(Command::new(self.root.join("usr/bin/busybox")).arg("--list"))?;
        for applet in String::from_utf8_lossy(&list).lines() {
            let taken = ["usr/bin", "usr/sbin"]
                .iter()
                .any(|place| self.present.contains(&format!("{place}/{applet}")));
            if !taken {
                self.link(&format!("usr/bin/{applet}"), "busybox");
            }
        }
        Ok(())
    }
}

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn output_of(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?} failed"))
    }
}

/// zstd, because Linux unpacks it several times faster than gzip, which an emulated machine feels.
fn compress(archive: &[u8], file: &Path) -> Result<(), String> {
    // A name of this process alone: another runner may be doing the same.
    let partial = file.with_extension(format!("partial-{}", std::process::id()));
    let mut command = Command::new("zstd");
    command
        .args(["-q", "-f", "-10", "-T0", "-o"])
        .arg(&partial)
        .stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("zstd: {error}"))?;
    let written = child.stdin.take().expect("piped").write_all(archive);
    let status = child.wait().map_err(|error| format!("zstd: {error}"))?;
    if written.is_err() || !status.success() {
        return Err(format!("zstd could not write {}", partial.display()));
    }
    // Whatever follows in one initrd must start on a multiple of four.
    let mut bytes = read(&partial)?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, file))
        .map_err(|error| format!("{}: {error}", file.display()))
}
