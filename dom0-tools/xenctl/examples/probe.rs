//! Asks the hypervisor below this dom0 for everything that can be read, then makes a small domain, writes its memory, reads it back and
//! removes it: shows whether a hypervisor, or this crate, answers as it should.
//!
//! `probe` reads only; `probe domain` makes a domain too. Every line is `ok` or `FAILED` with the request; the exit status is 1 if one failed.
//!
//! For a dom0 without libraries: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --target x86_64-unknown-linux-gnu --example probe`.

use std::fmt::Debug;
use std::process::ExitCode;

use xen_abi::arch_x86::{ArchDomainconfig, XEN_X86_EMU_LAPIC};
use xen_abi::domctl::{
    DomctlCreatedomain, DomctlSchedulerOp, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM,
    XEN_DOMCTL_SCHEDOP_GETINFO, XEN_SCHEDULER_CREDIT2,
};
use xen_abi::errno::Errno;
use xen_abi::hvm::params::HVM_PARAM_STORE_PFN;
use xen_abi::sched::SHUTDOWN_POWEROFF;
use xen_abi::sysctl::{
    SysctlSchedulerOp, XEN_SYSCTL_CPU_FEATURESET_HVM, XEN_SYSCTL_CPU_POLICY_HVM_DEFAULT,
    XEN_SYSCTL_SCHEDOP_GETINFO,
};
use xenctl::real::Xen;
use xenctl::{Backend, CpuSet, DomId, Hypervisor, Populate, Result, VersionText};

fn main() -> ExitCode {
    let mut report = Report::default();
    let Some(xen) = report.say("open", Xen::open().map(Silent)) else {
        return ExitCode::FAILURE;
    };
    read_host(&mut report, &xen.0);
    read_dom0(&mut report, &xen.0);
    use_events(&mut report, &xen.0);
    if std::env::args().any(|argument| argument == "domain") {
        use_domain(&mut report, &xen.0);
    }
    println!("{} answers, {} failures", report.answers, report.failures);
    ExitCode::from(u8::from(report.failures > 0))
}

fn read_host(report: &mut Report, xen: &Xen) {
    report.say("version", xen.version());
    for what in [
        VersionText::ExtraVersion,
        VersionText::Capabilities,
        VersionText::Changeset,
        VersionText::CommandLine,
    ] {
        report.say("version_text", xen.version_text(what));
    }
    report.say("compile_info", xen.compile_info());
    report.say("page_size", xen.page_size());
    report.say("virtual_start", xen.virtual_start());
    report.say_or("build_id", Errno::ENODATA, xen.build_id());
    report.say("physinfo", xen.physinfo());
    report.say("scheduler", xen.scheduler());
    report.say("cpu_topology", xen.cpu_topology());
    report.say_or(
        "pci_nodes",
        Errno::ENODEV,
        xen.pci_nodes(&[Default::default(); 3]),
    );
    report.say("numa_info", xen.numa_info());
    report.say("cpu_idle_times", xen.cpu_idle_times());
    report.say_or("sharing_pages", Errno::ENOSYS, xen.sharing_pages());
    let log = report.say("read_console", xen.read_console(false, None).map(Silent));
    if let Some(Silent(log)) = log {
        println!("   {} bytes, index {}", log.text.len(), log.index);
        let rest = xen
            .read_console(false, Some(log.index))
            .map(|rest| rest.text.len());
        report.say("read_console, what is new", rest);
    }
    report.say("cpu_pools", xen.cpu_pools());
    report.say("free_cpus", xen.free_cpus());
    report.say(
        "pool_scheduler",
        xen.pool_scheduler(SysctlSchedulerOp {
            sched_id: XEN_SCHEDULER_CREDIT2,
            cmd: XEN_SYSCTL_SCHEDOP_GETINFO,
            ..Default::default()
        }),
    );
    let policy = xen.host_cpu_policy(XEN_SYSCTL_CPU_POLICY_HVM_DEFAULT);
    report.say(
        "host_cpu_policy",
        policy.map(|p| (p.leaves.len(), p.msrs.len())),
    );
    report.say("featureset", xen.featureset(XEN_SYSCTL_CPU_FEATURESET_HVM));
}

fn read_dom0(report: &mut Report, xen: &Xen) {
    report.say("domains", xen.domains().map(|all| all.len()));
    report.say("domain", xen.domain(DomId::DOM0));
    report.say("vcpu", xen.vcpu(DomId::DOM0, 0));
    report.say("vcpu_affinity", xen.vcpu_affinity(DomId::DOM0, 0));
    report.say("node_affinity", xen.node_affinity(DomId::DOM0));
    report.say(
        "domain_scheduler",
        xen.domain_scheduler(
            DomId::DOM0,
            DomctlSchedulerOp {
                sched_id: XEN_SCHEDULER_CREDIT2,
                cmd: XEN_DOMCTL_SCHEDOP_GETINFO,
                ..Default::default()
            },
        ),
    );
    let policy = xen.cpu_policy(DomId::DOM0);
    report.say("cpu_policy", policy.map(|p| (p.leaves.len(), p.msrs.len())));
    report.refused("domain", Errno::ESRCH, xen.domain(DomId(999)));
}

fn use_events(report: &mut Report, xen: &Xen) {
    let Some(Silent(events)) = report.say("events", xen.events().map(Silent)) else {
        return;
    };
    let Some(open) = report.say("bind_unbound", events.bind_unbound(DomId::DOM0)) else {
        return;
    };
    let Some(bound) = report.say(
        "bind_interdomain",
        events.bind_interdomain(DomId::DOM0, open.0),
    ) else {
        return;
    };
    while let Ok(Some(port)) = events.pending() {
        report.say("unmask", events.unmask(port));
    }
    report.say("notify", events.notify(bound));
    let mut pending = events.pending();
    for _ in 0..1000 {
        if !matches!(pending, Ok(None)) {
            break;
        }
        std::thread::yield_now();
        pending = events.pending();
    }
    report.check(
        "the other end is pending",
        pending.as_ref().is_ok_and(|port| *port == Some(open)),
    );
    report.say("unbind", events.unbind(bound));
}

fn use_domain(report: &mut Report, xen: &Xen) {
    let how = DomctlCreatedomain {
        flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        arch: ArchDomainconfig {
            emulation_flags: XEN_X86_EMU_LAPIC,
            ..Default::default()
        },
        ..Default::default()
    };
    let before = xen.physinfo().map(|info| info.free_pages);
    let Some(domain) = report.say("create_domain", xen.create_domain(DomId(0), &how)) else {
        return;
    };
    build(report, xen, domain);
    use_memory(report, xen, domain);
    report.say("destroy_domain", xen.destroy_domain(domain));
    report.refused("domain", Errno::ESRCH, xen.domain(domain));
    let after = xen.physinfo().map(|info| info.free_pages);
    println!("   free pages before {before:?}, after {after:?}");
}

fn build(report: &mut Report, xen: &Xen, domain: DomId) {
    report.refused(
        "set_no_llc_colors",
        Errno::EOPNOTSUPP,
        xen.set_no_llc_colors(domain),
    );
    report.say("set_max_vcpus", xen.set_max_vcpus(domain, 2));
    report.say(
        "set_node_affinity",
        xen.set_node_affinity(domain, &CpuSet::first(1)),
    );
    let pin = xen.set_vcpu_affinity(domain, 1, Some(&CpuSet::first(1)), None, false);
    report.say("set_vcpu_affinity", pin);
    report.say("set_max_memory", xen.set_max_memory(domain, 64 << 10));
    report.say("set_paging_memory", xen.set_paging_memory(domain, 4 << 20));
    report.say("set_tsc_info", xen.set_tsc_info(domain, 0, 0, 0, 0));
    report.say("set_time_offset", xen.set_time_offset(domain, 3600));
    report.say("set_handle", xen.set_handle(domain, [7; 16]));
    report.say(
        "alloc_unbound_port",
        xen.alloc_unbound_port(domain, DomId::DOM0),
    );
    let policy = xen.host_cpu_policy(XEN_SYSCTL_CPU_POLICY_HVM_DEFAULT);
    if let Ok(mut policy) = policy {
        report.say("set_cpu_policy", xen.set_cpu_policy(domain, &policy));
        policy.leaves = vec![[0x5000_0000, u32::MAX, 0, 0, 0, 0]];
        let refused = xen.set_cpu_policy(domain, &policy);
        report.check(
            "a bad leaf is named",
            refused.is_err_and(|error| {
                println!("   {error}");
                error.detail.is_some()
            }),
        );
    }
    report.say("claim_pages", xen.claim_pages(domain, 1024));
    report.say(
        "set_memory_map",
        xen.set_memory_map(domain, &[(0, 64 << 20, 1)]),
    );
    report.say(
        "set_hvm_param",
        xen.set_hvm_param(domain, HVM_PARAM_STORE_PFN, 0xfeffc),
    );
    report.say("hvm_param", xen.hvm_param(domain, HVM_PARAM_STORE_PFN));
    let context = xen.hvm_context(domain);
    report.say(
        "hvm_context",
        context.as_ref().map(Vec::len).map_err(Clone::clone),
    );
    if let Ok(context) = context {
        report.say("set_hvm_context", xen.set_hvm_context(domain, &context));
    }
}

fn use_memory(report: &mut Report, xen: &Xen, domain: DomId) {
    for (order, gfns) in [(9, vec![0, 512, 1024]), (0, vec![0xfeffc, 0xfeffd])] {
        let what = Populate {
            order,
            mem_flags: 0,
            gfns: &gfns,
        };
        report.say("populate", xen.populate(domain, what));
    }
    report.say("claim_pages of none", xen.claim_pages(domain, 0));
    let bytes: Vec<u8> = (0..5_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let start = std::time::Instant::now();
    report.say("write_guest", xen.write_guest(domain, 0x1003, &bytes));
    let mut again = vec![0; bytes.len()];
    report.say("read_guest", xen.read_guest(domain, 0x1003, &mut again));
    println!("   5 MB written and read in {:?}", start.elapsed());
    report.check("what was read is what was written", again == bytes);
    let hole = xen.write_guest(domain, 0x4000_0000, &[1]);
    report.check(
        "a hole is refused",
        hole.is_err_and(|error| {
            println!("   {error}");
            true
        }),
    );
    report.say(
        "seed_grant",
        xen.seed_grant(domain, 1, 0xfeffc, DomId::DOM0),
    );
    for (what, page) in [
        ("map_grant", xen.map_grant(domain, 1)),
        ("map_foreign", xen.map_foreign(domain, 0xfeffc)),
    ] {
        let Some(Silent(page)) = report.say(what, page.map(Silent)) else {
            continue;
        };
        page.store_u32(8, 0x1234_5678);
        let mut word = [0; 4];
        report.say("read_guest", xen.read_guest(domain, 0xfeff_c008, &mut word));
        report.check("the page is the guest's", word == [0x78, 0x56, 0x34, 0x12]);
        page.store_u32(8, 0);
    }
    report.say(
        "remote_shutdown",
        xen.remote_shutdown(domain, SHUTDOWN_POWEROFF),
    );
    report.say("domain", xen.domain(domain));
}

/// Something not worth printing.
struct Silent<T>(T);

impl<T> Debug for Silent<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[derive(Default)]
struct Report {
    answers: usize,
    failures: usize,
}

impl Report {
    /// Prints an answer.
    fn say<T: Debug>(&mut self, what: &str, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.answers += 1;
                println!("ok {what}: {answer:?}");
                Some(answer)
            }
            Err(error) => {
                self.check(&format!("{what}: {error}"), false);
                None
            }
        }
    }

    /// As [`say`](Self::say), where one refusal is an answer too.
    fn say_or<T: Debug>(&mut self, what: &str, fine: Errno, answer: Result<T>) {
        match answer {
            Err(error) if error.errno == fine => self.check(&format!("{what}: {error}"), true),
            answer => drop(self.say(what, answer)),
        }
    }

    /// Wants one refusal.
    fn refused<T: Debug>(&mut self, what: &str, wanted: Errno, answer: Result<T>) {
        let is_refused = answer.as_ref().is_err_and(|error| error.errno == wanted);
        self.check(&format!("{what} is refused: {answer:?}"), is_refused);
    }

    fn check(&mut self, what: &str, is_so: bool) {
        self.answers += usize::from(is_so);
        self.failures += usize::from(!is_so);
        println!("{} {what}", if is_so { "ok" } else { "FAILED" });
    }
}
