//! Compares every structure and constant of this crate with Xen 4.20's public headers.
//!
//! The tables come from the crate itself (`LAYOUTS` and `NUMBERS` of each module). They are written out as C assertions and checked by
//! `gcc -fsyntax-only`, 64-bit with the main modules and 32-bit with `compat` and with what is the same for both. The headers are Debian's
//! package libxen-dev, version 4.20; `XEN_HEADERS` names the directory that holds `xen/xen.h`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use xen_abi::{Layout, Number};

/// Headers of the public interface, in the order in which they can be included.
const INCLUDES: &str = "\
#include <stdint.h>
#include <stddef.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/callback.h>
#include <xen/domctl.h>
#include <xen/elfnote.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_info_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/ioreq.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#if XEN_DOMCTL_INTERFACE_VERSION != 0x17 || XEN_SYSCTL_INTERFACE_VERSION != 0x15 || !defined(XENVER_commandline2)
#error \"these are not the headers of Xen 4.20\"
#endif
";

/// Constants whose value depends on the width of `long`.
const WIDE_ONLY: &[&str] = &["EVTCHN_2L_NR_CHANNELS"];

/// Modules that 32-bit callers cannot use: the platform calls of a 32-bit dom0 are not supported.
const WIDE_MODULES: &[&str] = &["platform"];

/// Structures of the control interface that differ in a handle or in padding at the end; they are read as 64-bit callers write them.
const WIDE_LAYOUTS: &[&str] = &[
    "struct xen_sysctl_page_offline_op",
    "struct hvm_hw_lapic",
    "struct hvm_msr",
];

macro_rules! modules {
    ($table:ident: $($($part:ident)::+),* $(,)?) => {
        [$((stringify!($($part)::+), xen_abi::$($part)::+::$table)),*]
    };
}

fn numbers() -> Vec<(&'static str, &'static [Number])> {
    modules![NUMBERS:
        arch_x86, callback, domctl, domctl::device, domctl::domain, domctl::vcpu, elfnote, event_channel, features, grant_table,
        hvm::dm_op, hvm::hvm_info_table, hvm::hvm_op, hvm::hvm_vcpu, hvm::ioreq, hvm::params, hvm::save, hvm::save::cpu,
        hvm::save::devices, hvm::start_info, io::xs_wire, memory, physdev, platform, sched, sysctl, sysctl::host, sysctl::power,
        sysctl::schedule, vcpu, version, xen,
    ]
    .to_vec()
}

fn layouts() -> Vec<(&'static str, &'static [Layout])> {
    modules![LAYOUTS:
        arch_x86, domctl, domctl::device, domctl::domain, domctl::vcpu, event_channel, grant_table, hvm::dm_op, hvm::hvm_info_table,
        hvm::hvm_op, hvm::hvm_vcpu, hvm::ioreq, hvm::save, hvm::save::cpu, hvm::save::devices, hvm::start_info, io::console,
        io::xs_wire, memory, physdev, platform, sched, sysctl, sysctl::host, sysctl::power, sysctl::schedule, vcpu, version, xen,
    ]
    .to_vec()
}

fn compat_layouts() -> Vec<(&'static str, &'static [Layout])> {
    modules![LAYOUTS:
        compat::grant_table, compat::hvm, compat::memory, compat::physdev, compat::sched, compat::vcpu, compat::version, compat::xen,
    ]
    .to_vec()
}

fn headers() -> PathBuf {
    PathBuf::from(std::env::var_os("XEN_HEADERS").unwrap_or_else(|| "/usr/include".into()))
}

/// Runs the C compiler on `source`; gives its standard output.
fn compile(arguments: &[&str], source: &str) -> Result<String, String> {
    let mut child = Command::new("gcc")
        .args([
            "-x",
            "c",
            "-std=gnu11",
            "-ffreestanding",
            "-w",
            "-fmax-errors=0",
            "-I",
        ])
        .arg(headers())
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gcc is installed");
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(source.as_bytes())
        .expect("gcc reads its input");
    let output = child.wait_with_output().expect("gcc ends");
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).expect("macro names are text"));
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The macros the headers define, by name in upper case.
fn macros() -> HashMap<String, Vec<String>> {
    let text = compile(&["-E", "-dM"], INCLUDES).unwrap_or_else(|error| {
        panic!(
            "the headers in {} cannot be used: install libxen-dev 4.20 of Debian trixie there, or run `make test`, which sets \
             XEN_HEADERS\n{error}",
            headers().display()
        )
    });
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for line in text.lines() {
        let name = line
            .split([' ', '('])
            .nth(1)
            .expect("a definition has a name");
        names
            .entry(name.to_uppercase())
            .or_default()
            .push(name.to_owned());
    }
    names
}

/// Name in C: the given one, or the only macro that is the same in upper case.
fn c_name(number: &Number, macros: &HashMap<String, Vec<String>>) -> Result<String, String> {
    if let Some(name) = number.c_name {
        return Ok(name.to_owned());
    }
    let wanted = match number.name.strip_prefix("HYPERVISOR_") {
        Some(_) => format!("__{}", number.name),
        None => number.name.to_owned(),
    };
    match macros.get(&wanted).map(Vec::as_slice) {
        Some([name]) => Ok(name.clone()),
        Some(names) if names.contains(&wanted) => Ok(wanted),
        Some(names) => Err(format!(
            "{}: several macros: {}",
            number.name,
            names.join(", ")
        )),
        None => Err(format!("{}: no such macro", number.name)),
    }
}

/// C name of a field: the given designator, `type` for `kind`, the same name; none for padding and bit fields.
fn designator(name: &'static str, given: Option<&'static str>) -> Option<&'static str> {
    match (given, name) {
        (Some(""), _) => None,
        (Some(designator), _) => Some(designator),
        (None, "kind") => Some("type"),
        (None, name) if name.starts_with('_') => None,
        (None, name) => Some(name),
    }
}

fn layout_assertions(source: &mut String, module: &str, layouts: &[Layout]) {
    for Layout {
        c_name,
        size,
        fields,
    } in layouts
    {
        let line = format!(
            "_Static_assert(sizeof({c_name}) == {size}, \"{module}: {c_name} is {size} bytes in Rust\");"
        );
        writeln!(source, "{line}").expect("a string can be written");
        for field in *fields {
            let Some(designator) = designator(field.name, field.c_name) else {
                continue;
            };
            let (offset, size) = (field.offset, field.size);
            let line = format!(
                "_Static_assert(offsetof({c_name}, {designator}) == {offset}, \"{module}: {c_name}.{designator} is at {offset} in Rust\");"
            );
            writeln!(source, "{line}").expect("a string can be written");
            if designator.ends_with("red_pos") || designator == "u.pci.bus" {
                continue; // several C fields, one array here
            }
            let line = format!(
                "_Static_assert(sizeof((({c_name} *)0)->{designator}) == {size}, \
                 \"{module}: {c_name}.{designator} has {size} bytes in Rust\");"
            );
            writeln!(source, "{line}").expect("a string can be written");
        }
    }
}

fn number_assertions(source: &mut String, wide: bool) -> Vec<String> {
    let macros = macros();
    let mut missing = Vec::new();
    for (module, numbers) in numbers() {
        for number in numbers {
            if !wide && WIDE_ONLY.contains(&number.name) {
                continue;
            }
            let value = number.value as u64;
            match c_name(number, &macros) {
                Ok(name) => writeln!(
                    source,
                    "_Static_assert((unsigned long long)({name}) == {value}ULL, \"{module}: {name} is {value:#x} in Rust\");"
                )
                .expect("a string can be written"),
                Err(problem) => missing.push(format!("{module}: {problem}")),
            }
        }
    }
    missing
}

/// Reduces gcc's errors to the texts of the assertions that failed.
fn failures(error: &str) -> String {
    let lines: Vec<&str> = error
        .lines()
        .filter(|line| line.contains("error:"))
        .collect();
    format!("{} differences\n{}", lines.len(), lines.join("\n"))
}

#[test]
fn numbers_are_those_of_the_headers() {
    for (wide, arguments) in [
        (true, ["-m64", "-fsyntax-only"]),
        (false, ["-m32", "-fsyntax-only"]),
    ] {
        let mut source = INCLUDES.to_owned();
        let missing = number_assertions(&mut source, wide);
        assert!(missing.is_empty(), "{}", missing.join("\n"));
        compile(&arguments, &source).unwrap_or_else(|error| panic!("{}", failures(&error)));
    }
}

/// The headers show some error numbers only to Xen itself, so the list is taken by itself with its own macro.
#[test]
fn error_numbers_are_those_of_the_headers() {
    macros();
    let mut source = "#define __XEN__ 1\n#define XEN_ERRNO(name, value) XEN_##name = (value),\nenum xen_errno {\n".to_owned();
    source.push_str("#include <xen/errno.h>\n};\n");
    for number in xen_abi::errno::NUMBERS {
        let (name, value) = (number.name, number.value);
        writeln!(
            source,
            "_Static_assert({name} == {value}, \"{name} is {value} in Rust\");"
        )
        .expect("a string can be written");
    }
    compile(&["-fsyntax-only"], &source).unwrap_or_else(|error| panic!("{}", failures(&error)));
}

#[test]
fn layouts_are_those_of_the_headers() {
    macros();
    let mut source = INCLUDES.to_owned();
    for (module, layouts) in layouts() {
        layout_assertions(&mut source, module, layouts);
    }
    compile(&["-m64", "-fsyntax-only"], &source)
        .unwrap_or_else(|error| panic!("{}", failures(&error)));
}

#[test]
fn compat_layouts_are_those_of_the_headers_in_32_bits() {
    macros();
    let mut source = INCLUDES.to_owned();
    for (module, layouts) in compat_layouts() {
        layout_assertions(&mut source, module, layouts);
    }
    compile(&["-m32", "-fsyntax-only"], &source)
        .unwrap_or_else(|error| panic!("{}", failures(&error)));
}

/// A structure without a `compat` twin must be the same in 32 bits, or 32-bit guests cannot pass it.
#[test]
fn structures_without_a_compat_layout_are_the_same_in_32_bits() {
    macros();
    let has_twin = |c_name: &str| {
        compat_layouts()
            .iter()
            .any(|(_, layouts)| layouts.iter().any(|layout| layout.c_name == c_name))
    };
    let mut source = INCLUDES.to_owned();
    for (module, layouts) in layouts() {
        if WIDE_MODULES.contains(&module) {
            continue;
        }
        for layout in layouts
            .iter()
            .filter(|layout| !has_twin(layout.c_name) && !WIDE_LAYOUTS.contains(&layout.c_name))
        {
            layout_assertions(&mut source, module, std::slice::from_ref(layout));
        }
    }
    compile(&["-m32", "-fsyntax-only"], &source)
        .unwrap_or_else(|error| panic!("{}", failures(&error)));
}
