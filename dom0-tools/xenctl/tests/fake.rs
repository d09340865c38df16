//! The fake hypervisor as its users see it: states, errors and limits are those of the real one.

use xen_abi::domctl::{
    DomctlCreatedomain, DomctlSchedCredit, DomctlSchedulerOp, XEN_DOMCTL_CDF_HAP,
    XEN_DOMCTL_CDF_HVM, XEN_DOMCTL_SCHEDOP_GETINFO, XEN_DOMCTL_SCHEDOP_PUTINFO, XEN_DOMINF_DYING,
    XEN_DOMINF_PAUSED, XEN_DOMINF_SHUTDOWN, XEN_SCHEDULER_CREDIT, XEN_SCHEDULER_CREDIT2,
};
use xen_abi::errno::Errno;
use xen_abi::sched::SHUTDOWN_CRASH;
use xenctl::fake::{FakeHost, FakeXen};
use xenctl::{Backend, CpuSet, DomId, Error, Events, Hypervisor, Populate, Port, SharedPage, call};

const ANY: DomId = DomId(0);

fn how(max_vcpus: u32) -> DomctlCreatedomain {
    DomctlCreatedomain {
        flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
        max_vcpus,
        ..DomctlCreatedomain::default()
    }
}

/// A domain of two vCPUs with `pages` of memory from frame 0 on.
fn guest(xen: &FakeXen, pages: u64) -> DomId {
    let domain = xen.create_domain(ANY, &how(2)).unwrap();
    xen.set_max_vcpus(domain, 2).unwrap();
    xen.set_max_memory(domain, pages * 4).unwrap();
    assert_eq!(populate(xen, domain, 0, 0..pages), Ok(pages as usize));
    domain
}

fn populate(
    xen: &FakeXen,
    domain: DomId,
    order: u32,
    gfns: impl IntoIterator<Item = u64>,
) -> Result<usize, Error> {
    let gfns: Vec<u64> = gfns.into_iter().collect();
    let what = Populate {
        order,
        mem_flags: 0,
        gfns: &gfns,
    };
    xen.populate(domain, what)
}

fn free_pages(xen: &FakeXen) -> u64 {
    xen.physinfo().unwrap().free_pages
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, errno: Errno) {
    assert_eq!(result.unwrap_err().errno, errno);
}

#[test]
fn a_domain_is_born_paused_and_goes_with_its_memory() {
    let xen = FakeXen::new();
    let before = free_pages(&xen);
    let domain = guest(&xen, 100);
    assert_eq!(domain, DomId(1));
    let info = xen.domain(domain).unwrap();
    assert_eq!(info.flags & XEN_DOMINF_PAUSED, XEN_DOMINF_PAUSED);
    assert_eq!((info.tot_pages, info.max_vcpu_id), (100, 1));
    xen.unpause_domain(domain).unwrap();
    assert_eq!(xen.domain(domain).unwrap().flags & XEN_DOMINF_PAUSED, 0);
    refused(xen.unpause_domain(domain), Errno::EINVAL);
    xen.destroy_domain(domain).unwrap();
    refused(xen.domain(domain), Errno::ESRCH);
    refused(xen.destroy_domain(domain), Errno::ESRCH);
    assert_eq!(free_pages(&xen), before);
}

#[test]
fn numbers_are_not_used_again_at_once() {
    let xen = FakeXen::new();
    let first = xen.create_domain(ANY, &how(1)).unwrap();
    xen.destroy_domain(first).unwrap();
    assert_eq!(xen.create_domain(ANY, &how(1)).unwrap(), DomId(2));
    refused(xen.create_domain(DomId(2), &how(1)), Errno::EEXIST);
    assert_eq!(xen.create_domain(DomId(1), &how(1)).unwrap(), DomId(1));
}

#[test]
fn what_the_hypervisor_cannot_make_is_refused() {
    let xen = FakeXen::new();
    refused(xen.create_domain(ANY, &how(0)), Errno::EINVAL);
    let mut wrong = how(1);
    wrong.flags |= 1 << 20;
    refused(xen.create_domain(ANY, &wrong), Errno::EINVAL);
    let mut wrong = how(1);
    wrong.cpupool_id = 9;
    refused(xen.create_domain(ANY, &wrong), Errno::ENOENT);
    let domain = xen.create_domain(ANY, &how(2)).unwrap();
    refused(xen.set_max_vcpus(domain, 3), Errno::EINVAL);
    refused(xen.hvm_param(domain, 39), Errno::EINVAL);
    refused(xen.set_no_llc_colors(domain), Errno::EOPNOTSUPP);
    refused(xen.pause_domain(DomId::DOM0), Errno::EINVAL);
}

#[test]
fn memory_ends_at_the_domains_limit_and_at_the_hosts() {
    let xen = FakeXen::on(FakeHost {
        total_pages: 1000,
        dom0_pages: 200,
        ..FakeHost::default()
    });
    let domain = xen.create_domain(ANY, &how(1)).unwrap();
    assert_eq!(populate(&xen, domain, 0, 0..10), Ok(0), "no limit was set");
    xen.set_max_memory(domain, 4 * 600).unwrap();
    assert_eq!(populate(&xen, domain, 0, 0..700), Ok(600));
    xen.set_max_memory(domain, 4 * 10_000).unwrap();
    assert_eq!(populate(&xen, domain, 0, 600..10_000), Ok(200));
    refused(xen.set_paging_memory(domain, 4096), Errno::ENOMEM);
    assert_eq!(populate(&xen, domain, 9, [1]), Ok(0), "not aligned");
    refused(xen.claim_pages(domain, 5000), Errno::ENOMEM);
}

#[test]
fn a_domain_stays_dying_while_a_page_is_mapped() {
    let xen = FakeXen::new();
    let before = free_pages(&xen);
    let domain = guest(&xen, 4);
    xen.seed_grant(domain, 1, 2, DomId::DOM0).unwrap();
    let page = xen.map_grant(domain, 1).unwrap();
    xen.destroy_domain(domain).unwrap();
    let flags = xen.domain(domain).unwrap().flags;
    assert_eq!(flags & XEN_DOMINF_DYING, XEN_DOMINF_DYING);
    assert_eq!(free_pages(&xen), before - 4);
    page.store_u32(0, 1);
    drop(page);
    refused(xen.domain(domain), Errno::ESRCH);
    assert_eq!(free_pages(&xen), before);
}

#[test]
fn both_sides_of_a_grant_see_the_same_page() {
    let xen = FakeXen::new();
    let domain = guest(&xen, 4);
    refused(xen.map_grant(domain, 8).map(drop), Errno::EINVAL);
    xen.guest_grants(domain, 8, 3, DomId(7)).unwrap();
    refused(xen.map_grant(domain, 8).map(drop), Errno::EINVAL);
    xen.guest_grants(domain, 8, 3, DomId::DOM0).unwrap();
    let ours = xen.map_grant(domain, 8).unwrap();
    let theirs = xen.guest_page(domain, 3).unwrap();
    theirs.store_u32(16, 0xabcd);
    assert_eq!(ours.load_u32(16), 0xabcd);
    let mut word = [0; 4];
    xen.read_guest(domain, 3 * 4096 + 16, &mut word).unwrap();
    assert_eq!(word, [0xcd, 0xab, 0, 0]);
    xen.guest_revokes(domain, 8).unwrap();
    refused(xen.map_grant(domain, 8).map(drop), Errno::EINVAL);
}

#[test]
fn a_planned_failure_hits_the_request_it_was_planned_for() {
    let xen = FakeXen::new();
    xen.fail_after(call::CREATE_DOMAIN, 1, Errno::ENOMEM);
    xen.create_domain(ANY, &how(1)).unwrap();
    let error = xen.create_domain(ANY, &how(1)).unwrap_err();
    assert_eq!(error, Error::new(call::CREATE_DOMAIN, Errno::ENOMEM));
    xen.create_domain(ANY, &how(1)).unwrap();
    xen.fail_next(call::PHYSINFO, Errno::EPERM);
    refused(xen.physinfo(), Errno::EPERM);
    let made = xen
        .calls()
        .into_iter()
        .filter(|&name| name == call::CREATE_DOMAIN);
    assert_eq!(made.count(), 3);
    xen.forget_calls();
    assert!(xen.calls().is_empty());
}

#[test]
#[should_panic(expected = "no request")]
fn a_failure_of_nothing_is_a_mistake_of_the_test() {
    FakeXen::new().fail_next("createdomain", Errno::EPERM);
}

#[test]
fn a_crash_is_seen_in_the_flags_and_only_the_first_reason_counts() {
    let xen = FakeXen::new();
    let domain = guest(&xen, 1);
    assert_eq!(xen.domain(domain).unwrap().flags >> 16 & 255, 255);
    xen.guest_shuts_down(domain, SHUTDOWN_CRASH).unwrap();
    xen.remote_shutdown(domain, 0).unwrap();
    let flags = xen.domain(domain).unwrap().flags;
    assert_eq!(flags & XEN_DOMINF_SHUTDOWN, XEN_DOMINF_SHUTDOWN);
    assert_eq!(flags >> 16 & 255, SHUTDOWN_CRASH);
    refused(xen.resume_domain(domain), Errno::EINVAL);
}

#[test]
fn affinity_is_what_is_left_in_the_pool() {
    let xen = FakeXen::new();
    let domain = guest(&xen, 1);
    let all = xen.vcpu_affinity(domain, 0).unwrap();
    assert_eq!(all.hard, CpuSet::first(4));
    let wanted: CpuSet = [2, 9].into_iter().collect();
    let now = xen
        .set_vcpu_affinity(domain, 0, Some(&wanted), None, false)
        .unwrap();
    assert_eq!(now.hard, [2].into_iter().collect());
    let nowhere: CpuSet = [9].into_iter().collect();
    let result = xen.set_vcpu_affinity(domain, 0, Some(&nowhere), None, false);
    refused(result, Errno::EINVAL);
    refused(xen.vcpu_affinity(domain, 2), Errno::ESRCH);
}

#[test]
fn pools_hold_processors_and_domains() {
    let xen = FakeXen::new();
    let domain = guest(&xen, 1);
    let pool = xen.create_pool(XEN_SCHEDULER_CREDIT).unwrap();
    refused(xen.move_to_pool(pool, domain), Errno::ENOENT);
    refused(xen.add_pool_cpu(pool, None), Errno::ENODEV);
    xen.remove_pool_cpu(0, Some(3)).unwrap();
    assert_eq!(xen.free_cpus().unwrap(), [3].into_iter().collect());
    xen.add_pool_cpu(pool, Some(3)).unwrap();
    xen.move_to_pool(pool, domain).unwrap();
    assert_eq!(
        xen.vcpu_affinity(domain, 1).unwrap().hard,
        [3].into_iter().collect()
    );
    refused(xen.destroy_pool(pool), Errno::EBUSY);
    refused(xen.remove_pool_cpu(pool, None), Errno::EBUSY);
    assert_eq!(xen.cpu_pools().unwrap()[1].domains, 1);
    xen.destroy_domain(domain).unwrap();
    xen.remove_pool_cpu(pool, None).unwrap();
    xen.destroy_pool(pool).unwrap();
    refused(xen.destroy_pool(pool), Errno::ENOENT);
}

#[test]
fn weights_are_kept_and_only_by_the_scheduler_in_force() {
    let xen = FakeXen::new();
    let domain = guest(&xen, 1);
    let op = |cmd, weight, cap| DomctlSchedulerOp {
        sched_id: XEN_SCHEDULER_CREDIT2,
        cmd,
        credit: DomctlSchedCredit { weight, cap },
        ..DomctlSchedulerOp::default()
    };
    xen.domain_scheduler(domain, op(XEN_DOMCTL_SCHEDOP_PUTINFO, 512, 50))
        .unwrap();
    xen.domain_scheduler(domain, op(XEN_DOMCTL_SCHEDOP_PUTINFO, 0, u16::MAX))
        .unwrap();
    let now = xen
        .domain_scheduler(domain, op(XEN_DOMCTL_SCHEDOP_GETINFO, 0, 0))
        .unwrap();
    assert_eq!((now.credit.weight, now.credit.cap), (512, 50));
    let mut wrong = op(XEN_DOMCTL_SCHEDOP_GETINFO, 0, 0);
    wrong.sched_id = XEN_SCHEDULER_CREDIT;
    refused(xen.domain_scheduler(domain, wrong), Errno::EINVAL);
}

#[test]
fn machine_state_that_was_set_brings_vcpus_up() {
    let xen = FakeXen::new();
    let domain = guest(&xen, 1);
    assert_eq!(xen.domain(domain).unwrap().nr_online_vcpus, 0);
    let context = xen.hvm_context(domain).unwrap();
    refused(xen.set_hvm_context(domain, &context[..40]), Errno::ENODATA);
    refused(xen.set_hvm_context(domain, &context[8..]), Errno::EINVAL);
    xen.set_hvm_context(domain, &context).unwrap();
    assert_eq!(xen.domain(domain).unwrap().nr_online_vcpus, 2);
    assert_eq!(xen.hvm_context(domain).unwrap(), context);
}

#[test]
fn the_log_is_read_on_from_where_it_was_left() {
    let xen = FakeXen::new();
    let first = xen.read_console(false, None).unwrap();
    xen.debug_keys("q").unwrap();
    let more = xen.read_console(false, Some(first.index)).unwrap();
    assert_eq!(more.text, b"(XEN) 'q' pressed\n");
    xen.read_console(true, None).unwrap();
    assert!(xen.read_console(false, None).unwrap().text.is_empty());
}

#[test]
fn dom0s_own_ring_connects_its_kernel_with_the_daemon() {
    let xen = FakeXen::new();
    refused(xen.own_store_ring().map(drop), Errno::ENODEV);
    let kernel = xen.kernel_store_ring().unwrap();
    let ring = xen.own_store_ring().unwrap();
    let events = xen.events().unwrap();
    let port = events.bind_interdomain(DomId::DOM0, ring.port).unwrap();
    ring.page.store_u32(0, 5);
    assert_eq!(kernel.page.load_u32(0), 5);
    events.notify(port).unwrap();
    assert_eq!(kernel.events.pending().unwrap(), Some(Port(ring.port)));
}
