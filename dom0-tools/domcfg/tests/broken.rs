//! Broken configurations and the exact words in which they are refused. Each text follows three lines that are right, so that its
//! first line is the fourth.

use domcfg::{Context, parse};

const RIGHT: &str = "name=\"x\"\ntype=\"pvh\"\nkernel=\"/k\"\n";
const NO_OVERRIDES: [&str; 0] = [];

fn refusal(text: &str) -> String {
    match parse(
        "demo.cfg",
        text.as_bytes(),
        &NO_OVERRIDES,
        &Context::with_cpus(4),
    ) {
        Ok(parsed) => panic!("taken: {text}\n{:?}", parsed.warnings),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn broken_configurations_are_refused_in_these_words() {
    assert!(BROKEN.len() >= 60);
    for (text, expected) in BROKEN {
        assert_eq!(refusal(&format!("{RIGHT}{text}")), *expected, "{text}");
    }
}

#[test]
fn what_is_missing_is_reported_at_the_start_of_the_file() {
    assert_eq!(
        refusal("type=\"pvh\"\nkernel=\"/k\"\n"),
        "demo.cfg:1:1: expected a name for the domain, e.g. name=\"demo\""
    );
    assert_eq!(
        refusal("type=\"pvh\"\nname=\"x\"\n"),
        "demo.cfg:1:1: expected a kernel to boot, e.g. kernel=\"/boot/vmlinuz\""
    );
    let no_type = "demo.cfg:1:1: expected type=\"pvh\" or type=\"hvm\"; without a type a domain is classic PV, which is not supported";
    assert_eq!(refusal("name=\"x\"\nkernel=\"/k\"\n"), no_type);
}

#[test]
fn all_problems_of_a_file_are_reported_in_order() {
    let text = "type=\"pvh\"\nkernel=\"/k\"\nvif=[\"mac=z\"]\nname=\"x\"\nmemory=\"lots\"\non_crash=\"x\"\n";
    let places: Vec<_> = refusal(text)
        .lines()
        .map(|line| line[..13].to_owned())
        .collect();
    assert_eq!(places, ["demo.cfg:3:11", "demo.cfg:5:8:", "demo.cfg:6:10"]);
}

const BROKEN: &[(&str, &str)] = &[
    // Grammar.
    (
        "memory 512\n",
        "demo.cfg:4:8: expected \"=\" or \"+=\" after \"memory\", found \"512\"",
    ),
    (
        "memory = \n",
        "demo.cfg:4:10: expected a number, a string in quotes or a list after \"memory\", found the end of the line",
    ),
    (
        "memory = 512M\n",
        "demo.cfg:4:10: expected a number, a string in quotes or a list after \"memory\", found \"512M\"; write quotes around anything but plain numbers",
    ),
    (
        "memory = lots\n",
        "demo.cfg:4:10: expected a number, a string in quotes or a list after \"memory\", found \"lots\"",
    ),
    (
        "memory = 512 1024\n",
        "demo.cfg:4:14: expected a new line or \";\" after the value, found \"1024\"",
    ),
    (
        "Memory = 512\n",
        "demo.cfg:4:1: expected a key such as \"memory\" at the start of a line, found \"Memory\"",
    ),
    (
        "rtc_timeoffset = -3600\n",
        "demo.cfg:4:18: expected a number, a string in quotes or a list after \"rtc_timeoffset\", found \"-3600\"; write quotes around anything but plain numbers",
    ),
    (
        "extra = \"console=hvc0\n",
        "demo.cfg:4:22: expected \" at the end of the string, before the end of the line",
    ),
    (
        "extra = 'a\\qb'\n",
        "demo.cfg:4:11: unknown escape \"\\\\q\" in a string",
    ),
    (
        "extra = 'a\\x4'\n",
        "demo.cfg:4:11: expected 2 hexadecimal digits after \"\\x\" in a string",
    ),
    (
        "extra = 'a\\xff'\n",
        "demo.cfg:4:11: an escape stands for a character from 1 to 127, not for 255",
    ),
    (
        "disk = [ '/a,raw,xvda' '/b,raw,xvdb' ]\n",
        "demo.cfg:4:24: expected \",\" or \"]\" in the list of \"disk\", found the string \"/b,raw,xvdb\"",
    ),
    (
        "disk = [ '/a,raw,xvda',\n",
        "demo.cfg:5:1: expected a number, a string in quotes or \"]\" in the list of \"disk\", found the end of the file",
    ),
    (
        "disk = [ , ]\n",
        "demo.cfg:4:10: expected a number, a string in quotes or \"]\" in the list of \"disk\", found \",\"",
    ),
    (
        "disk = ]\n",
        "demo.cfg:4:8: expected a number, a string in quotes or a list after \"disk\", found \"]\"",
    ),
    (
        "= 5\n",
        "demo.cfg:4:1: expected a key such as \"memory\" at the start of a line, found \"=\"",
    ),
    (
        "import os\n",
        "demo.cfg:4:8: expected \"=\" or \"+=\" after \"import\", found \"os\"",
    ),
    (
        "extra = (1)\n",
        "demo.cfg:4:9: expected a number, a string in quotes or a list after \"extra\", found \"(1)\"; Python code is not understood",
    ),
    (
        "extra = ['a']\nextra += 'b'\n",
        "demo.cfg:5:1: cannot add a list to a string or a string to a list: \"extra\"",
    ),
    (
        "cpus =\n[ '1' ]\n",
        "demo.cfg:4:7: expected a number, a string in quotes or a list after \"cpus\", found the end of the line\ndemo.cfg:5:1: expected a key such as \"memory\" at the start of a line, found \"[\"",
    ),
    // Types and ranges.
    (
        "memory = \"lots\"\n",
        "demo.cfg:4:10: expected a number of MiB after \"memory\", found \"lots\"",
    ),
    (
        "memory = 0\n",
        "demo.cfg:4:10: expected a number of MiB from 1 to 16777216 after \"memory\", found \"0\"",
    ),
    (
        "memory = \"-5\"\n",
        "demo.cfg:4:10: expected a number of MiB from 1 to 16777216 after \"memory\", found \"-5\"",
    ),
    (
        "memory = 99999999999\n",
        "demo.cfg:4:10: expected a number of MiB from 1 to 16777216 after \"memory\", found \"99999999999\"",
    ),
    (
        "memory = [ 512 ]\n",
        "demo.cfg:4:10: expected a number of MiB after \"memory\", found a list",
    ),
    (
        "memory = 512\nmemory += 512\n",
        "demo.cfg:5:1: cannot use \"+=\" with \"memory\", which is a number",
    ),
    (
        "memory = 512\nmaxmem = 256\n",
        "demo.cfg:4:10: expected \"memory\" to be at most \"maxmem\", which is 256 MiB, found 512",
    ),
    (
        "vcpus = 0\n",
        "demo.cfg:4:9: expected a number of vCPUs from 1 to 128 after \"vcpus\", found \"0\"",
    ),
    (
        "vcpus = 129\n",
        "demo.cfg:4:9: expected a number of vCPUs from 1 to 128 after \"vcpus\", found \"129\"",
    ),
    (
        "vcpus = 4\nmaxvcpus = 2\n",
        "demo.cfg:5:12: expected \"maxvcpus\" to be at least \"vcpus\", which is 4, found 2",
    ),
    (
        "acpi = \"yes\"\n",
        "demo.cfg:4:8: expected 0 or 1 after \"acpi\", found \"yes\"",
    ),
    (
        "cpu_weight = 70000\n",
        "demo.cfg:4:14: expected a weight from 1 to 65535 after \"cpu_weight\", found \"70000\"",
    ),
    (
        "cap = \"10%\"\n",
        "demo.cfg:4:7: expected a number of hundredths of a CPU after \"cap\", found \"10%\"",
    ),
    (
        "max_grant_version = 3\n",
        "demo.cfg:4:21: expected a version of grant tables from 0 to 2 after \"max_grant_version\", found \"3\"",
    ),
    (
        "uuid = \"12\"\n",
        "demo.cfg:4:8: expected a UUID after \"uuid\", found \"12\"",
    ),
    (
        "name = \"a/b\"\n",
        "demo.cfg:4:8: expected a name without \"/\" and control characters, found \"a/b\"",
    ),
    (
        "kernel = ['a', 'b']\n",
        "demo.cfg:4:10: expected a file name after \"kernel\", found a list",
    ),
    (
        "kernel = \"\"\n",
        "demo.cfg:4:10: expected a file name after \"kernel\", found \"\"",
    ),
    (
        "tsc_mode = 9\n",
        "demo.cfg:4:12: expected default, always_emulate, native or native_paravirt after \"tsc_mode\", found \"9\"",
    ),
    (
        "tsc_mode = \"fast\"\n",
        "demo.cfg:4:12: expected default, always_emulate, native or native_paravirt after \"tsc_mode\", found \"fast\"",
    ),
    (
        "type = \"pv\"\n",
        "demo.cfg:4:8: classic PV domains are not supported; use type=\"pvh\", which boots the same Linux kernels",
    ),
    (
        "type = \"xen\"\n",
        "demo.cfg:4:8: expected \"pvh\" or \"hvm\" after \"type\", found \"xen\"",
    ),
    (
        "builder = \"hvm\"\n",
        "demo.cfg:4:11: \"builder\" contradicts type=\"pvh\"; leave it out",
    ),
    (
        "passthrough = \"some\"\n",
        "demo.cfg:4:15: expected default, disabled, enabled, sync_pt or share_pt after \"passthrough\", found \"some\"",
    ),
    (
        "altp2m = 4\n",
        "demo.cfg:4:10: expected disabled, mixed, external or limited after \"altp2m\", found \"4\"",
    ),
    // Actions.
    (
        "on_reboot = \"reboot\"\n",
        "demo.cfg:4:13: expected destroy, restart, rename-restart, preserve, coredump-destroy, coredump-restart or soft-reset after \"on_reboot\", found \"reboot\"",
    ),
    (
        "on_crash = 1\n",
        "demo.cfg:4:12: expected destroy, restart, rename-restart, preserve, coredump-destroy, coredump-restart or soft-reset after \"on_crash\", found \"1\"",
    ),
    (
        "on_poweroff = \"Destroy\"\n",
        "demo.cfg:4:15: expected destroy, restart, rename-restart, preserve, coredump-destroy, coredump-restart or soft-reset after \"on_poweroff\", found \"Destroy\"",
    ),
    // CPUs.
    (
        "cpus = \"0-x\"\n",
        "demo.cfg:4:9: expected a CPU, a range such as 0-3, \"node:\" and a node, or \"all\", found \"0-x\"",
    ),
    (
        "cpus = \"0,3-1\"\n",
        "demo.cfg:4:11: expected a range that ends at or after its start, found \"3-1\"",
    ),
    (
        "cpus = \"0-3,^all\"\n",
        "demo.cfg:4:13: cannot exclude \"all\"",
    ),
    (
        "cpus = \"node:5\"\n",
        "demo.cfg:4:9: expected a node below 1, found 5",
    ),
    (
        "cpus = \"63\"\n",
        "demo.cfg:4:8: expected at least one CPU of this host, 0 to 3, for \"cpus\", found \"63\"",
    ),
    (
        "vcpus = 2\ncpus = [ \"0\", \"1;2\" ]\n",
        "demo.cfg:5:16: expected a CPU, a range such as 0-3, \"node:\" and a node, or \"all\", found \"1;2\"",
    ),
    (
        "vcpus = 2\ncpus_soft = [ \"0\", [ \"1\" ] ]\n",
        "demo.cfg:5:20: expected a string in the list of \"cpus_soft\", found a list",
    ),
    // CPUID.
    (
        "cpuid = \"avx=0\"\n",
        "demo.cfg:4:10: expected \"host\" as the first word of \"cpuid\", found \"avx=0\"",
    ),
    (
        "cpuid = \"host,avx=0,foo=1\"\n",
        "demo.cfg:4:21: unknown CPU feature \"foo\"",
    ),
    (
        "cpuid = \"host,avx\"\n",
        "demo.cfg:4:15: expected a feature and its value such as avx=0, found \"avx\"",
    ),
    (
        "cpuid = \"host,avx=y\"\n",
        "demo.cfg:4:15: expected 0, 1, x, k or s after \"avx=\", found \"y\"",
    ),
    (
        "cpuid = \"host,family=999\"\n",
        "demo.cfg:4:15: expected a number from 0 to 270, x, k or s after \"family=\", found \"999\"",
    ),
    (
        "cpuid = [ \"1:efx=xxxx\" ]\n",
        "demo.cfg:4:14: expected eax, ebx, ecx or edx in \"cpuid\", found \"efx\"",
    ),
    (
        "cpuid = [ \"1:ecx=xxxx\" ]\n",
        "demo.cfg:4:18: expected 32 letters out of \"01xks\" in \"cpuid\", found \"xxxx\"",
    ),
    (
        "cpuid = [ \"one:ecx=xxxx\" ]\n",
        "demo.cfg:4:12: expected the number of a leaf in \"cpuid\", found \"one\"",
    ),
    // Disks.
    (
        "disk = \"/a,raw,xvda\"\n",
        "demo.cfg:4:8: expected a list of disks in brackets after \"disk\", found \"/a,raw,xvda\"",
    ),
    (
        "disk = [ \"/a\" ]\n",
        "demo.cfg:4:11: expected a vdev such as xvda for a disk",
    ),
    (
        "disk = [ \"/a,raw,foo\" ]\n",
        "demo.cfg:4:11: expected a vdev such as xvda, xvdb1, hda, sda or d0p1 for a disk, found \"foo\"",
    ),
    (
        "disk = [ \"/a,vmdk,xvda\" ]\n",
        "demo.cfg:4:14: expected raw, qcow, qcow2, qed, vhd or empty for the format of a disk, found \"vmdk\"",
    ),
    (
        "disk = [ \"/a,raw,xvda,x\" ]\n",
        "demo.cfg:4:23: expected r or rw for the access of a disk, found \"x\"",
    ),
    (
        "disk = [ \"/a,raw,xvda,r,more\" ]\n",
        "demo.cfg:4:25: expected at most target, format, vdev and access without a key, found \"more\" too",
    ),
    (
        "disk = [ \"vdev=xvda,format=raw\" ]\n",
        "demo.cfg:4:11: expected a target for a disk that is no CD drive",
    ),
    (
        "disk = [ \"vdev=xvda,size=5,target=/a\" ]\n",
        "demo.cfg:4:21: unknown key \"size\" of a disk",
    ),
    (
        "disk = [ \"vdev=xvda,backendtype=nbd,target=/a\" ]\n",
        "demo.cfg:4:33: expected phy, tap, qdisk or standalone after \"backendtype=\", found \"nbd\"",
    ),
    (
        "disk = [ \"vdev=xvda,vdev=xvdb,target=/a\" ]\n",
        "demo.cfg:4:26: the vdev of a disk is said twice, the second time as \"xvdb\"",
    ),
    (
        "disk = [ \"scsi:/a,xvda,w\" ]\n",
        "demo.cfg:4:11: unknown prefix \"scsi:\" of a disk",
    ),
    (
        "disk = [ \"/a,raw,xvda\", \"/b,raw,d0p0\" ]\n",
        "demo.cfg:4:25: the virtual disk \"d0p0\" is given twice",
    ),
    (
        "disk = [ \"/a.iso,,hdc:cdrom,r\" ]\n",
        "demo.cfg:4:10: a PVH domain cannot have a CD drive; attach the image as a read-only disk",
    ),
    // Network interfaces.
    (
        "vif = \"bridge=b\"\n",
        "demo.cfg:4:7: expected a list of network interfaces in brackets after \"vif\", found \"bridge=b\"",
    ),
    (
        "vif = [ \"bridge=b,mac=00:16:3e:00:00\" ]\n",
        "demo.cfg:4:23: expected an address such as 00:16:3e:01:02:03 after \"mac=\", found \"00:16:3e:00:00\"",
    ),
    (
        "vif = [ \"mac=00:16:3e:00:00:01\", \"mac=00:16:3e:00:00:01\" ]\n",
        "demo.cfg:4:34: the address 00:16:3e:00:00:01 is given twice",
    ),
    (
        "vif = [ \"rate=10\" ]\n",
        "demo.cfg:4:15: expected a rate such as 10Mb/s, 500KB/s or 1GB/s@20ms, found \"10\"",
    ),
    (
        "vif = [ \"rate=10Mb/s@5h\" ]\n",
        "demo.cfg:4:15: expected an interval such as 50ms, 100us or 1s after \"@\", found \"10Mb/s@5h\"",
    ),
    (
        "vif = [ \"rate=0Mb/s\" ]\n",
        "demo.cfg:4:15: expected a rate from 1 to 4294967295 of its unit, found \"0Mb/s\"",
    ),
    (
        "vif = [ \"type=ioemu\" ]\n",
        "demo.cfg:4:9: a PVH domain cannot have an emulated network card; leave type=ioemu out",
    ),
    (
        "vif = [ \"type=tap\" ]\n",
        "demo.cfg:4:15: expected vif or ioemu after \"type=\", found \"tap\"",
    ),
    (
        "vif = [ \"mtu=10\" ]\n",
        "demo.cfg:4:14: expected a number of bytes from 68 to 65521 after \"mtu=\", found \"10\"",
    ),
    (
        "vif = [ \"vifname=a/b\" ]\n",
        "demo.cfg:4:18: expected an interface name of 1 to 15 characters after \"vifname=\", found \"a/b\"",
    ),
    // Other devices.
    (
        "pci = [ \"03:00\" ]\n",
        "demo.cfg:4:10: unknown word \"03:00\" in the specification of a PCI device",
    ),
    (
        "vnuma = [ [ \"pnode=9\", \"size=1\", \"vcpus=0\" ] ]\n",
        "demo.cfg:4:20: expected a node of this host below 1 after \"pnode=\", found \"9\"",
    ),
    (
        "channel = [ \"connection=socket,name=a\" ]\n",
        "demo.cfg:4:13: expected path= for a channel with connection=socket",
    ),
    (
        "vtpm = [ \"uuid=5\" ]\n",
        "demo.cfg:4:10: expected backend= for a virtual TPM\ndemo.cfg:4:16: expected a UUID after \"uuid=\", found \"5\"",
    ),
    (
        "ioports = [ \"zz\" ]\n",
        "demo.cfg:4:13: expected I/O ports in hexadecimal such as 3f8-3ff in the list of \"ioports\", found \"zz\"",
    ),
    (
        "usbdev = [ \"hostbus=300\" ]\n",
        "demo.cfg:4:21: expected a smaller number after \"hostbus=\", found \"300\"",
    ),
];
