//! Hands the linker script to the linker for the bare-metal target, and tells the image who built it from what.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=image.ld");
    tell_facts();
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
        println!("cargo:rustc-link-arg-bins=-T{here}/image.ld");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo:rustc-link-arg-bins=-znoexecstack");
        println!("cargo:rustc-link-arg-bins=--build-id=sha1");
    }
}

/// What `xl info` shows. The date is the source revision's, or `SOURCE_DATE_EPOCH`, so that the same sources give the same image.
fn tell_facts() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let git = |args: &[&str]| first_line("git", args);
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if std::path::Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    let seconds = std::env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = seconds.unwrap_or_else(|| git(&["log", "-1", "--format=%ct"]));
    let date = if seconds.is_empty() {
        String::new()
    } else {
        let at = format!("@{seconds}");
        let format = "+%a %b %e %H:%M:%S UTC %Y";
        first_line("env", &["LC_ALL=C", "date", "-u", "-d", &at, format])
    };
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    for (name, value) in [
        (
            "XEN_RS_CHANGESET",
            git(&["rev-parse", "--short=12", "HEAD"]),
        ),
        ("XEN_RS_COMPILER", first_line(&compiler, &["--version"])),
        ("XEN_RS_BUILT_BY", first_line("id", &["-un"])),
        ("XEN_RS_BUILT_ON", first_line("uname", &["-n"])),
        ("XEN_RS_DATE", date),
    ] {
        println!("cargo:rustc-env={name}={value}");
    }
}

/// What a program prints; empty if it cannot be run or fails.
fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_string()
}
