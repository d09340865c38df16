//! Hotplug scripts as child processes.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::host::{RunningScript, ScriptCall, ScriptEnd};

/// Whether it is a file that somebody may run.
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Whether a directory, which may be missing, has executables called `*.hook`.
pub fn has_hooks(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return false;
    };
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths.any(|path| path.extension().is_some_and(|end| end == "hook") && is_executable(&path))
}

/// Starts a script in a process group of its own, so that it can be ended with all it started. What it prints goes to our standard error.
pub fn start(call: &ScriptCall) -> io::Result<Box<dyn RunningScript>> {
    let output = io::stderr().as_fd().try_clone_to_owned()?;
    let child = Command::new(&call.path)
        .args(&call.arguments)
        .envs(call.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output)
        .process_group(0)
        .spawn()?;
    let is_running = true;
    Ok(Box::new(Script { child, is_running }))
}

/// Ended, if it still runs, when it is dropped.
struct Script {
    child: Child,
    is_running: bool,
}

impl RunningScript for Script {
    fn ended(&mut self) -> io::Result<Option<ScriptEnd>> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(None);
        };
        self.is_running = false;
        Ok(Some(match status.success() {
            true => Ok(()),
            false => Err(format!("it ended with {status}")),
        }))
    }

    fn kill(&mut self) {
        let Some(group) = Pid::from_raw(self.child.id().cast_signed()).filter(|_| self.is_running)
        else {
            return;
        };
        self.is_running = false;
        // Not waited for yet, so the number is still its own; both fail only if it is gone.
        let _gone = kill_process_group(group, Signal::KILL);
        let _status = self.child.wait();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn script(directory: &Path, text: &str) -> PathBuf {
        let path = directory.join("script");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        path
    }

    fn wait(running: &mut dyn RunningScript) -> ScriptEnd {
        for _ in 0..2000 {
            if let Some(end) = running.ended().expect("a status") {
                return end;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("the script does not end");
    }

    #[test]
    fn a_script_gets_its_arguments_and_environment() {
        let directory = tempfile::tempdir().expect("a directory");
        let text = r#"[ "$1 $2" = "online type_if=vif" ] && [ "$vif" = vif1.0 ] && [ "$XENBUS_PATH" = backend/vif/1/0 ]"#;
        let call = ScriptCall {
            path: script(directory.path(), text),
            arguments: vec!["online".to_owned(), "type_if=vif".to_owned()],
            environment: vec![
                ("vif", "vif1.0".to_owned()),
                ("XENBUS_PATH", "backend/vif/1/0".to_owned()),
            ],
        };
        assert_eq!(wait(start(&call).expect("it runs").as_mut()), Ok(()));
        let other = ScriptCall {
            arguments: Vec::new(),
            ..call
        };
        let end = wait(start(&other).expect("it runs").as_mut());
        assert!(end.expect_err("it fails").contains("exit status: 1"));
    }

    #[test]
    fn a_script_and_its_children_end_with_its_handle() {
        let directory = tempfile::tempdir().expect("a directory");
        let seen = directory.path().join("pid");
        let text = format!(
            "sleep 600 & echo $! > {0}.part; mv {0}.part {0}; wait",
            seen.display()
        );
        let path = script(directory.path(), &text);
        let call = ScriptCall {
            path,
            ..ScriptCall::default()
        };
        let running = start(&call).expect("it runs");
        let child = loop {
            match fs::read_to_string(&seen) {
                Ok(text) => break text.trim().to_owned(),
                Err(_) => sleep(Duration::from_millis(5)),
            }
        };
        drop(running);
        let stat = Path::new("/proc").join(child).join("stat");
        for _ in 0..2000 {
            match fs::read_to_string(&stat) {
                Ok(text) if !text.contains(" Z ") => sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        panic!("the script's child lives on");
    }

    #[test]
    fn only_executables_are_hooks() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(!has_hooks(&directory.path().join("none")));
        let hook = directory.path().join("a.hook");
        fs::write(&hook, "").expect("a file");
        assert!(!has_hooks(directory.path()));
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("permissions");
        assert!(has_hooks(directory.path()));
    }
}
