//! Commands against fakes, with what xl 4.20 printed on a real host for the same.

use xenctl::{DomId, Hypervisor};

use crate::testing::{Lab, printed, refused};

const INVALID: &str = "nonsense is an invalid domain identifier (rc=-6)";

fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn domains_are_found_by_name_and_number() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    assert_eq!(lab.xl("domid alpha"), printed(&format!("{alpha}\n")));
    assert_eq!(lab.xl(&format!("domname {alpha}")), printed("alpha\n"));
    assert_eq!(lab.xl("domid Domain-0"), printed("0\n"));
    assert_eq!(lab.xl("domname 0x"), printed("Domain-0\n"));
    assert_eq!(
        lab.xl("domid 0"),
        refused(
            1,
            "Can't get domid of domain name '0', maybe this domain does not exist."
        )
    );
    assert_eq!(
        lab.xl("domname 17"),
        refused(
            1,
            "Can't get domain name of domain id '17', maybe this domain does not exist."
        )
    );
    assert_eq!(
        lab.xl("domname nonsense"),
        refused(1, "Invalid domain id.\n")
    );
}

#[test]
fn unknown_domains_are_refused_everywhere() {
    let lab = Lab::new();
    for command in [
        "list nonsense",
        "list -l nonsense",
        "pause nonsense",
        "unpause nonsense",
        "destroy nonsense",
        "shutdown nonsense",
        "reboot nonsense",
        "rename nonsense x",
        "trigger nonsense nmi",
        "sysrq nonsense h",
        "mem-set nonsense 100",
        "mem-max nonsense 100",
        "vcpu-set nonsense 1",
        "vcpu-pin nonsense 0 0",
        "uptime nonsense",
        "console nonsense",
        "network-attach nonsense",
        "network-detach nonsense 0",
        "block-detach nonsense xvdb",
        "sched-credit2 -d nonsense",
    ] {
        assert_eq!(lab.xl(command), refused(1, INVALID), "{command}");
    }
    for number in ["32752", "65536", "4294967296", "99999999999999999999"] {
        let message = format!("{number} is an invalid domain identifier (rc=-6)");
        assert_eq!(lab.xl(&format!("pause {number}")), refused(1, &message));
    }
    let empty = " is an invalid domain identifier (rc=-6)";
    assert_eq!(lab.xl("destroy ''"), refused(1, empty));
}

#[test]
fn lists_show_all_or_one() {
    let lab = Lab::new();
    lab.guest("alpha");
    let ran = lab.xl("list");
    let rows: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        rows[0],
        "Name                                        ID   Mem VCPUs\tState\tTime(s)"
    );
    assert!(
        rows[1].starts_with("Domain-0                                     0  1024     "),
        "{}",
        rows[1]
    );
    assert!(
        rows[2].starts_with("alpha                                        1     0     "),
        "{}",
        rows[2]
    );
    assert_eq!(lab.xl("list alpha").out.lines().count(), 2);
    assert_eq!(
        lab.xl("list 17"),
        refused(1, "Error: Domain '17' does not exist.")
    );
    let ran = lab.xl("list alpha Domain-0");
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("Usage: xl [-vtT] list "));
}

#[test]
fn json_is_an_addition_everywhere() {
    let lab = Lab::new();
    lab.guest("alpha");
    for command in [
        "list",
        "vm-list",
        "info",
        "vcpu-list",
        "uptime",
        "claims",
        "sharing",
        "dmesg",
        "cpupool-list",
        "sched-credit2",
        "domid alpha",
        "domname 1",
        "block-list alpha",
        "network-list alpha",
        "pause alpha",
        "mem-set alpha 64",
    ] {
        let ran = lab.xl(&format!("--json {command}"));
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&ran.out);
        assert!(parsed.is_ok(), "{command}: {ran:?}");
    }
    let ran = lab.xl("list --json nonsense");
    assert!(
        ran.err.starts_with("{\"error\":\"nonsense is an invalid"),
        "{}",
        ran.err
    );
}

#[test]
fn configurations_of_dom0_are_listed() {
    let lab = Lab::new();
    let ran = lab.xl("list -l");
    assert_eq!(ran.code, 0);
    assert_eq!(ran.out, "[\n\n]\n\n", "dom0 has no kept configuration yet");
}

#[test]
fn pausing_counts_and_never_fails() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    for _ in 0..2 {
        assert_eq!(lab.xl("pause alpha"), printed(""));
    }
    assert_eq!(lab.xen.pause_count(alpha), Some(2));
    for _ in 0..3 {
        assert_eq!(lab.xl("unpause alpha"), printed(""));
    }
    assert_eq!(lab.xen.pause_count(alpha), Some(0));
    assert_eq!(lab.xl("pause 17"), printed(""));
}

#[test]
fn names_are_unique() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    lab.guest("beta");
    assert_eq!(lab.xl("rename alpha gamma"), printed(""));
    assert_eq!(lab.read(&format!("/local/domain/{alpha}/name")), "gamma");
    assert_eq!(lab.xl("rename gamma gamma"), printed(""));
    assert_eq!(
        lab.xl("rename gamma beta"),
        refused(1, "Can't rename domain 'gamma'.")
    );
    assert_eq!(
        lab.xl("rename 17 x"),
        refused(1, "Can't rename domain '17'.")
    );
}

#[test]
fn triggers_reach_the_hypervisor() {
    let lab = Lab::new();
    lab.guest("alpha");
    assert_eq!(lab.xl("trigger alpha power"), printed(""));
    assert_eq!(
        lab.xl("trigger alpha nonsense"),
        refused(1, "Invalid trigger \"nonsense\"")
    );
    let ran = lab.xl("trigger alpha power x");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        ("Invalid vcpuid, using default vcpuid=0.\n", 0)
    );
    assert_eq!(lab.xl("trigger alpha nmi 9"), printed(""));
    assert_eq!(lab.xl("trigger alpha s3resume"), printed(""));
}

#[test]
fn sysrq_takes_one_letter() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    assert_eq!(lab.xl("sysrq alpha h"), printed(""));
    assert_eq!(
        lab.read(&format!("/local/domain/{alpha}/control/sysrq")),
        "h"
    );
    let ran = lab.xl("sysrq alpha hh");
    assert_eq!((ran.err.as_str(), ran.code), ("Invalid sysrq.\n", 1));
    assert_eq!(lab.xl("sysrq 17 h").code, 0);
    assert_eq!(lab.read("/local/domain/17/control/sysrq"), "(none)");
}

#[test]
fn targets_stay_within_the_maximum() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    let target = format!("/local/domain/{alpha}/memory/target");
    assert_eq!(lab.xl("mem-set alpha 100"), printed(""));
    assert_eq!(lab.read(&target), "102400");
    assert_eq!(
        lab.read("/vm/11111111-1111-1111-1111-111111111111/memory"),
        "100"
    );
    let info = lab.xen.domain(alpha).expect("alpha");
    assert_eq!(info.max_pages, (102_400 + 1024) / 4);
    assert_eq!(
        lab.xl("mem-set alpha 1000"),
        refused(
            1,
            &format!("cannot set domid {alpha} dynamic max memory to : 1000")
        )
    );
    assert_eq!(
        lab.xl("mem-set 0 10"),
        refused(1, "cannot set domid 0 dynamic max memory to : 10")
    );
    assert_eq!(
        lab.xl("mem-set alpha 150mb"),
        refused(1, "invalid memory size: 150mb")
    );
    assert_eq!(lab.xl("mem-max alpha 256"), printed(""));
    assert_eq!(
        lab.read(&format!("/local/domain/{alpha}/memory/static-max")),
        "262144"
    );
    assert_eq!(
        lab.xl("mem-max alpha 10"),
        refused(
            1,
            &format!("cannot set domid {alpha} static max memory to : 10")
        )
    );
}

#[test]
fn vcpus_are_marked_in_the_store() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    let availability =
        |vcpu: u32| lab.read(&format!("/local/domain/{alpha}/cpu/{vcpu}/availability"));
    assert_eq!(lab.xl("vcpu-set alpha 1"), printed(""));
    assert_eq!(
        (availability(0).as_str(), availability(1).as_str()),
        ("online", "offline")
    );
    assert_eq!(lab.xl("vcpu-set alpha 2"), printed(""));
    assert_eq!(availability(1), "online");
    let failed =
        |count: u32| format!("libxl_set_vcpuonline failed domid={alpha} max_vcpus={count}, rc: -3");
    assert_eq!(lab.xl("vcpu-set alpha 0"), refused(1, &failed(0)));
    assert_eq!(lab.xl("vcpu-set -i alpha 9"), refused(1, &failed(9)));
    assert_eq!(
        lab.xl("vcpu-set alpha 9"),
        refused(
            1,
            "You are overcommmitting! You have 4 physical CPUs and want 9 vCPUs! Aborting, use --ignore-host to continue"
        )
    );
    for bad in ["nonsense", "-1"] {
        assert_eq!(
            lab.xl(&format!("vcpu-set alpha {bad}")),
            refused(1, "Error: Invalid argument.")
        );
    }
}

#[test]
fn pins_are_checked_before_they_are_set() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    assert_eq!(lab.xl("vcpu-pin alpha 0 1,3 all"), printed(""));
    let affinity = lab.xen.vcpu_affinity(alpha, 0).expect("affinity");
    assert_eq!(affinity.hard.iter().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(lab.xl("vcpu-pin alpha all 2"), printed(""));
    for (arguments, message) in [
        ("alpha 0 9", "vcpu hard affinity map is empty"),
        ("alpha 0 node:1", "vcpu hard affinity map is empty"),
        ("alpha 0 ^all", "Can't combine \"^\" and \"all\"."),
        ("alpha 0 0-", "Invalid pcpu range: 0-."),
        ("alpha 9 0", "Could not set affinity for vcpu `9'."),
        ("alpha -1 0", "Error: Invalid argument -1 as VCPU."),
        (
            "alpha nonsense 0",
            "Error: Invalid argument nonsense as VCPU.",
        ),
        (
            "-f alpha all all all",
            "Error: --force and 'all' as VCPU not allowed.",
        ),
    ] {
        assert_eq!(
            lab.xl(&format!("vcpu-pin {arguments}")),
            refused(1, message),
            "{arguments}"
        );
    }
    assert_eq!(lab.xl("-N vcpu-pin alpha 0 0 1"), printed("cpumap: 0 1\n"));
    assert_eq!(lab.xl("-N vcpu-pin alpha 0 all"), printed("cpumap: all\n"));
    assert_eq!(lab.xl("-N vcpu-pin alpha 0 -"), printed("cpumap: -\n"));
}

#[test]
fn credit2_has_weights_caps_and_a_rate_limit() {
    let lab = Lab::new();
    lab.guest("alpha");
    assert_eq!(lab.xl("sched-credit2 -d alpha -w 100 -c 20"), printed(""));
    assert_eq!(
        lab.xl("sched-credit2 -d alpha"),
        printed(&lines(&[
            "Name                                ID Weight  Cap",
            "alpha                                1    100   20",
        ]))
    );
    assert_eq!(
        lab.xl("sched-credit2"),
        printed(&lines(&[
            "Cpupool Pool-0: ratelimit=1000us",
            "Name                                ID Weight  Cap",
            "Domain-0                             0    256    0",
            "alpha                                1    100   20",
        ]))
    );
    let set = "libxl_domain_sched_params_set failed.";
    for (arguments, message) in [
        ("-d 0 -w 0", set),
        ("-d 0 -w 70000", set),
        ("-d 0 -w -5", set),
        ("-d 0 -c -5", set),
        ("-s -r 10", "libxl_sched_credit2_params_set failed."),
        ("-w 100", "Must specify a domain."),
        (
            "-p Pool-0 -d 0",
            "Specifying a cpupool is not allowed with other options.",
        ),
        ("-p nonsense", "unknown cpupool 'nonsense'"),
        ("-s -p nonsense", "unknown cpupool 'nonsense'"),
    ] {
        assert_eq!(
            lab.xl(&format!("sched-credit2 {arguments}")),
            refused(1, message),
            "{arguments}"
        );
    }
    assert_eq!(lab.xl("sched-credit2 -s -r 500"), printed(""));
    assert_eq!(
        lab.xl("sched-credit2 -s"),
        printed("Cpupool Pool-0: ratelimit=500us\n")
    );
}

#[test]
fn credit_knows_its_own_pools_alone() {
    let lab = Lab::new();
    assert_eq!(lab.xl("sched-credit"), printed(""));
    let ran = lab.xl("sched-credit -s");
    assert_eq!(ran.out, "Cpupool Pool-0: [sched params unavailable]\n");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        ("libxl_sched_credit_params_get failed.", 0)
    );
    let ran = lab.xl("sched-credit -d 0");
    assert_eq!(
        ran.out,
        "Name                                ID Weight  Cap\n"
    );
    assert_eq!(
        ran.err,
        "libxl_domain_sched_params_get returned credit2 not credit."
    );
    for (arguments, message) in [
        ("-d 0 -w 300", "libxl_domain_sched_params_set failed."),
        (
            "-t 30",
            "Must specify schedparam to set schedule parameter values.",
        ),
        ("-s -t 30", "libxl_sched_credit_params_get failed."),
        (
            "-s -d 0",
            "Specifying a cpupool or schedparam is not allowed with domain options.",
        ),
    ] {
        assert_eq!(
            lab.xl(&format!("sched-credit {arguments}")),
            refused(1, message),
            "{arguments}"
        );
    }
}

#[test]
fn pools_come_and_go() {
    let lab = Lab::new();
    let create = "cpupool-create 'name=\"second\"' 'sched=\"credit\"' 'cpus=[\"1\"]'";
    assert_eq!(lab.xl(create), refused(1, "cpu 1 illegal or not free"));
    assert_eq!(
        lab.xl("cpupool-create"),
        refused(1, "Missing cpupool name!")
    );
    assert_eq!(lab.xl("cpupool-cpu-remove Pool-0 1"), printed(""));
    assert_eq!(
        lab.xl(create),
        printed(&lines(&[
            "Using config file \"command line\"",
            "cpupool name:   second",
            "scheduler:      credit",
            "number of cpus: 1",
        ]))
    );
    assert_eq!(
        lab.xl(create),
        refused(1, "Pool name \"second\" already exists")
    );
    assert_eq!(
        lab.xl("cpupool-list"),
        printed(&lines(&[
            "Name               CPUs   Sched     Active   Domain count",
            "Pool-0               3   credit2       y          1",
            "second               1    credit       y          0",
        ]))
    );
    assert_eq!(
        lab.xl("cpupool-list -c second"),
        printed(&lines(&[
            "Name               CPU list",
            "second             1"
        ]))
    );
    assert_eq!(lab.xl("cpupool-rename second third"), printed(""));
    let ran = lab.xl("cpupool-cpu-remove third 7");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        (
            "Some cpus may have not or only partially been removed from 'third'.\n\
             If a cpu can't be added to another cpupool, add it to 'third' again and retry.",
            0
        )
    );
    let ran = lab.xl("cpupool-cpu-add third 1");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        ("some cpus may not have been added to third", 0)
    );
    assert_eq!(
        lab.xl("cpupool-destroy Pool-0"),
        refused(1, "Can't destroy cpupool 'Pool-0'")
    );
    assert_eq!(lab.xl("cpupool-destroy third"), printed(""));
    assert_eq!(lab.read("/local/pool/1/name"), "(none)");
    assert_eq!(lab.xl("cpupool-cpu-add Pool-0 1"), printed(""));
}

#[test]
fn domains_move_between_pools() {
    let lab = Lab::new();
    lab.guest("alpha");
    assert_eq!(lab.xl("cpupool-cpu-remove Pool-0 1"), printed(""));
    lab.xl("cpupool-create 'name=\"second\"' 'cpus=\"1\"'");
    assert_eq!(lab.xl("cpupool-migrate alpha second"), printed(""));
    let ran = lab.xl("list -c alpha");
    assert!(
        ran.out.trim_end().ends_with("          second"),
        "{}",
        ran.out
    );
    assert_eq!(
        lab.xl("cpupool-migrate alpha nonsense"),
        refused(1, "unknown cpupool 'nonsense'")
    );
    assert_eq!(
        lab.xl("cpupool-migrate nonsense Pool-0"),
        refused(1, "unknown domain 'nonsense'")
    );
}

#[test]
fn a_host_of_one_node_becomes_one_pool() {
    let lab = Lab::new();
    assert_eq!(lab.xl("cpupool-numa-split"), printed(""));
    assert_eq!(lab.read("/local/pool/0/name"), "Pool-node0");
}

#[test]
fn devices_of_nobody_are_no_failure() {
    let lab = Lab::new();
    let header = "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n";
    assert_eq!(lab.xl("block-list 17"), printed(header));
    let ran = lab.xl("block-list nonsense");
    assert_eq!((ran.out.as_str(), ran.code), (header, 0));
    assert_eq!(ran.err, "nonsense is an invalid domain identifier");
    let ran = lab.xl("network-list nonsense");
    assert_eq!((ran.err.as_str(), ran.code), (INVALID, 1));
}

#[test]
fn devices_that_are_missing_can_not_be_taken() {
    let lab = Lab::new();
    lab.guest("alpha");
    assert_eq!(
        lab.xl("network-detach alpha 7"),
        refused(1, "Unknown device 7.")
    );
    assert_eq!(
        lab.xl("network-detach alpha 00:16:3e:00:00:0b"),
        refused(1, "Unknown device 00:16:3e:00:00:0b.")
    );
    assert_eq!(
        lab.xl("block-detach alpha xvdb"),
        refused(1, "Error: Device xvdb not connected.")
    );
    assert_eq!(
        lab.xl("block-attach alpha /nonexistent,raw,xvdc,w"),
        refused(1, "libxl_device_disk_add failed.")
    );
    assert_eq!(
        lab.xl("block-attach nonsense /x,raw,xvdb,w"),
        refused(1, "nonsense is an invalid domain identifier")
    );
    assert_eq!(
        lab.xl("network-attach alpha nonsense=1"),
        refused(1, "unrecognized argument `nonsense=1'")
    );
}

#[test]
fn dry_runs_print_devices() {
    let lab = Lab::new();
    lab.guest("alpha");
    assert_eq!(
        lab.xl("-N block-attach alpha /tmp/alpha2.img,raw,xvde,r"),
        printed(&lines(&[
            "disk: {",
            "    \"pdev_path\": \"/tmp/alpha2.img\",",
            "    \"vdev\": \"xvde\",",
            "    \"format\": \"raw\"",
            "}",
            "",
        ]))
    );
    assert_eq!(
        lab.xl("-N network-attach alpha bridge=xenbr0 mac=00:16:3e:00:00:0c rate=10Mb/s"),
        printed(&lines(&[
            "vif: {",
            "    \"mac\": \"00:16:3e:00:00:0c\",",
            "    \"bridge\": \"xenbr0\",",
            "    \"rate_bytes_per_interval\": 62500,",
            "    \"rate_interval_usecs\": 50000",
            "}",
            "",
        ]))
    );
}

#[test]
fn dom0_is_not_destroyed_by_accident() {
    let lab = Lab::new();
    assert_eq!(
        lab.xl("destroy 0"),
        refused(
            1,
            "Not destroying domain 0; use -f to force.\n\
             This can only be done when using a disaggregated hardware domain and toolstack.\n"
        )
    );
    assert_eq!(lab.xl("destroy 17"), refused(1, "destroy failed (rc=-21)"));
}

#[test]
fn destroyed_domains_are_gone() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    assert_eq!(lab.xl("destroy alpha"), printed(""));
    assert!(lab.xen.domain(alpha).is_err());
    assert_eq!(lab.read(&format!("/local/domain/{alpha}/name")), "(none)");
}

#[test]
fn shutdowns_need_someone_to_shut_down() {
    let lab = Lab::new();
    for command in ["shutdown", "reboot"] {
        assert_eq!(
            lab.xl(command),
            refused(1, "You must specify -a or a domain id.\n")
        );
    }
    let ran = lab.xl("shutdown 17");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        ("Shutting down domain 17\nshutdown failed (rc=-3)", 1)
    );
    let ran = lab.xl("shutdown -a -w");
    assert_eq!((ran.err.as_str(), ran.code), ("Waiting for 0 domains", 0));
}

/// A guest that takes requests away and shuts down.
fn obedient(
    lab: &Lab,
    domain: DomId,
    word: &'static str,
    reason: u32,
) -> std::thread::JoinHandle<()> {
    let lab = lab.clone();
    std::thread::spawn(move || {
        let path = format!("/local/domain/{domain}/control/shutdown");
        for _ in 0..500 {
            if lab.read(&path) == word {
                lab.write(&path, "");
                lab.xen.guest_shuts_down(domain, reason).expect("shut down");
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    })
}

#[test]
fn guests_are_asked_and_waited_for() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    let guest = obedient(&lab, alpha, "poweroff", 0);
    let ran = lab.xl("shutdown -w alpha");
    guest.join().expect("guest");
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.err,
        format!(
            "Shutting down domain {alpha}\nWaiting for 1 domains\nDomain {alpha} has been shut down, reason code 0"
        )
    );
}

#[test]
fn requests_that_are_noticed_are_enough_without_waiting() {
    let lab = Lab::new();
    let alpha = lab.guest("alpha");
    let guest = obedient(&lab, alpha, "reboot", 1);
    let ran = lab.xl("reboot alpha");
    guest.join().expect("guest");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        (format!("Rebooting domain {alpha}").as_str(), 0)
    );
}

#[test]
fn new_configurations_are_kept_for_the_next_start() {
    let lab = Lab::new();
    lab.guest("alpha");
    let warning = "WARNING: xl now has better capability to manage domain configuration, avoid using this command when possible";
    let ran = lab.xl("config-update alpha");
    assert_eq!(
        (ran.err, ran.code),
        (format!("{warning}\nConfig file not specified"), 1)
    );
    let ran = lab.xl("config-update alpha /nonexistent.cfg");
    let message = "Failed to read config file: /nonexistent.cfg: No such file or directory";
    assert_eq!((ran.err, ran.code), (format!("{warning}\n{message}"), 253));
    let ran = lab.xl("config-update");
    assert_eq!(
        (ran.err.as_str(), ran.code),
        ("xl config-update requires a domain argument", 1)
    );
}

#[test]
fn consoles_have_types() {
    let lab = Lab::new();
    lab.guest("alpha");
    assert_eq!(
        lab.xl("console -t nonsense alpha"),
        refused(1, "console type supported are: pv, serial, vuart")
    );
}

#[test]
fn info_can_be_filtered_by_name() {
    let lab = Lab::new();
    assert_eq!(lab.xl("info nr_cpus"), printed("4\n"));
    assert_eq!(lab.xl("info xen_m"), printed("4\n20\n"));
    assert_eq!(lab.xl("info nonsense"), printed(""));
    let all = lab.xl("info").out;
    for name in [
        "host",
        "free_memory",
        "xen_scheduler",
        "build_id",
        "xend_config_format",
    ] {
        assert!(
            all.contains(&format!("\n{name:<23}: ")) || all.starts_with("host "),
            "{name}"
        );
    }
}

#[test]
fn devices_come_and_go() {
    let lab = Lab::new();
    lab.kernel.add_file("/tmp/second.img", true);
    let path = lab.config("alpha", "");
    assert_eq!(lab.xl(&format!("create -q -p -e {path}")).code, 0);
    assert_eq!(
        lab.xl("block-attach alpha /tmp/second.img,raw,xvdb,w"),
        printed("")
    );
    let ran = lab.xl("block-list alpha");
    assert!(ran.out.contains("\n51728 0   1 "), "{}", ran.out);
    assert_eq!(
        lab.xl("block-attach alpha /tmp/second.img,raw,xvdb,w"),
        refused(1, "libxl_device_disk_add failed.")
    );
    assert_eq!(
        lab.xl("network-attach alpha mac=00:16:3e:00:00:0b"),
        printed("")
    );
    let ran = lab.xl("network-list alpha");
    assert!(
        ran.out.contains("\n0   0  00:16:3e:00:00:0b     0 "),
        "{}",
        ran.out
    );
    let listed: serde_json::Value =
        serde_json::from_str(&lab.xl("list -l alpha").out).expect("JSON");
    assert_eq!(listed[0]["config"]["disks"][0]["vdev"], "xvdb");
    assert_eq!(listed[0]["config"]["nics"][0]["devid"], 0);
    assert_eq!(
        lab.xl("network-detach alpha 00:16:3e:00:00:0b"),
        printed("")
    );
    assert_eq!(lab.xl("block-detach -f alpha xvdb"), printed(""));
    assert_eq!(lab.xl("block-list alpha").out.lines().count(), 1);
    let listed: serde_json::Value =
        serde_json::from_str(&lab.xl("list -l alpha").out).expect("JSON");
    assert_eq!(listed[0]["config"]["disks"], serde_json::Value::Null);
}

#[test]
fn a_device_that_can_not_be_recorded_does_not_stay() {
    let lab = Lab::new();
    lab.kernel.add_file("/tmp/second.img", true);
    let path = lab.config("alpha", "");
    assert_eq!(lab.xl(&format!("create -q -p -e {path}")).code, 0);
    lab.break_files(1);
    assert_eq!(
        lab.xl("block-attach alpha /tmp/second.img,raw,xvdb,w"),
        refused(1, "libxl_device_disk_add failed.")
    );
    assert_eq!(lab.xl("block-list alpha").out.lines().count(), 1);
    assert_eq!(lab.xl("network-attach alpha mac=00:16:3e:00:00:0b").code, 1);
    assert_eq!(lab.xl("network-list alpha").out.lines().count(), 1);
}
