//! Loop devices of a real kernel and tools that are killed.
//!
//! Needs root and a kernel with loop devices. Where they are missing the test says so on standard error and checks nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use domain::devices::{FileId, Host, LinuxHost, Storage};

/// Set, to the file, in the process that is killed.
const VICTIM: &str = "LOOPS_TEST_FILE";

#[test]
fn a_loop_device_lasts_as_long_as_its_users() {
    if let Some(file) = std::env::var_os(VICTIM) {
        let opened = LinuxHost::new().open_loop(Path::new(&file), false);
        println!("NODE {}", opened.as_ref().expect("a loop device").node);
        std::thread::sleep(Duration::from_secs(600));
        return drop(opened);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("disk.img");
    std::fs::write(&path, vec![7; 64 << 10]).expect("a file");
    if let Err(error) = LinuxHost::new().open_loop(&path, false) {
        eprintln!("not tried here: {error}");
        return;
    }
    wait_until_gone(&path);

    let (mut tool, _node) = tool(&path);
    assert!(has_loop(&path));
    kill(&mut tool);
    wait_until_gone(&path);

    let (mut tool, node) = self::tool(&path);
    let mut back_end = File::open(node).expect("the device");
    kill(&mut tool);
    let mut bytes = Vec::new();
    back_end.read_to_end(&mut bytes).expect("the file's bytes");
    assert!(has_loop(&path) && bytes == vec![7; 64 << 10]);
    drop(back_end);
    wait_until_gone(&path);
}

/// A process that has a loop device, and its node.
fn tool(path: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "a_loop_device_lasts_as_long_as_its_users",
            "--nocapture",
        ])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let mut lines = output.lines().map(|line| line.expect("a line"));
    let node = lines.find_map(|line| line.split_once("NODE ").map(|(_, node)| node.to_owned()));
    (child, node.expect("a node"))
}

fn kill(child: &mut Child) {
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

fn has_loop(path: &Path) -> bool {
    let host = LinuxHost::new();
    let Storage::File { id, .. } = host.storage(path).expect("the file") else {
        panic!("no file");
    };
    let files: Vec<FileId> = host
        .loops()
        .expect("loop devices")
        .iter()
        .map(|device| device.file)
        .collect();
    files.contains(&id)
}

/// The kernel ends a loop device a little after its last user.
fn wait_until_gone(path: &Path) {
    let start = Instant::now();
    while has_loop(path) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the loop device stays"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
