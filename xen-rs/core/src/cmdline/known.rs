//! Names of Xen's options that mean nothing here, so that a note can tell them from mistyped ones.

/// Words scripts add that never deserve a note: GRUB's filler, and switches of a boot path this hypervisor does not have.
const SILENT: [&str; 4] = ["placeholder", "real-mode", "edd", "edid"];

/// Options of Xen 4.20 on x86 without effect in this hypervisor, sorted (headings of xen-command-line.pandoc).
#[rustfmt::skip]
const WITHOUT_EFFECT: [&str; 154] = [
    "acpi_apic_instance", "acpi_pstate_strict", "acpi_skip_timer_override", "acpi_sleep",
    "allow_unsafe", "altp2m", "apic", "apic_verbosity", "apicv", "arat", "argo", "asid",
    "async-show-all", "ats", "availmem", "badpage", "bootscrub_chunk", "cet",
    "clocksource", "cmci-threshold", "cmos-rtc-probe", "core_parking", "cpu_type",
    "cpufreq", "cpuid_mask_cpu", "cpuid_mask_ecx", "cpuid_mask_edx", "cpuid_mask_ext_ecx",
    "cpuid_mask_ext_edx", "cpuid_mask_l7s0_eax", "cpuid_mask_l7s0_ebx", "cpuid_mask_thermal_ecx",
    "cpuid_mask_xsave_eax", "cpuidle", "cpuinfo", "crash-debug-debugkey", "crash-debug-hwdom",
    "crash-debug-kexeccmd", "crash-debug-panic", "crash-debug-watchdog", "crashinfo_maxaddr",
    "crashkernel", "credit2_balance_over", "credit2_balance_under", "credit2_cap_period_ms",
    "credit2_load_precision_shift", "credit2_load_window_shift", "credit2_runqueue", "dbgp",
    "debug_stack_lines", "debugtrace", "dit", "dma_bits", "dom0-cpuid", "dom0_nodes",
    "e820-mtrr-clip", "e820-verbose", "efi", "ept", "extra_guest_irqs", "flask", "font",
    "force-ept", "global-pages", "hap", "hardware_dom", "hest_disable", "highmem-start", "hpet",
    "hpetbroadcast", "hvm_debug", "hvm_fep", "hvm_port80", "idle_latency_factor", "invpcid",
    "ioapic_ack", "iommu_dev_iotlb_timeout", "iommu_inclusive_mapping", "irq-max-guests",
    "irq_ratelimit", "irq_vector_map", "ivmd", "ivrs_hpet", "ivrs_ioapic", "lapic",
    "lapic_timer_c2_ok", "ler", "load-balance-ratelimit", "lock-depth-size", "low_crashinfo",
    "low_mem_virq_limit", "max_cstate", "max_gsi_irqs", "mce", "mce_fb", "mce_verbosity",
    "memop-max-order", "mmcfg", "mmio-relax", "msi", "mtrr.show", "mwait-idle", "noirqbalance",
    "nolapic", "nr_irqs", "numa", "pci", "pci-phantom", "pcid", "ple_gap",
    "ple_window", "preferred-cstates", "probe-port-aliases", "psr", "pv", "pv-l1tf", "pv-linear-pt",
    "pv-shim", "rcu-idle-timer-period-ms", "rmrr", "ro-hpet", "sched-gran",
    "sched_credit2_max_cpus_runqueue", "sched_credit2_migrate_resist", "sched_credit_tslice_ms",
    "sched_smt_power_savings", "shim_mem", "smap", "smep",
    "snb_igd_quirk", "tboot", "tbuf_size", "tdt", "tevt_mask", "tickle_one_idle_cpu", "timer_slop",
    "tsc", "tsx", "unrestricted_guest", "vcpu_migration_delay", "vesa-ram",
    "viridian-spinlock-retry-count", "viridian-version", "vm-notify-window", "vpid", "vpmu",
    "wallclock", "watchdog_timeout", "x2apic", "x2apic-mode", "x2apic_phys", "xpti", "xsave", "xsm",
];

/// Whether the option is to be passed over without a word.
pub(super) fn is_silent(name: &str) -> bool {
    SILENT.contains(&name)
}

/// Whether Xen knows the option but this hypervisor has no use for it.
pub(super) fn is_without_effect(name: &str) -> bool {
    let name = name
        .split_once(['[', '<', '(', '{'])
        .map_or(name, |(stem, _)| stem);
    WITHOUT_EFFECT.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_so_that_it_can_be_searched() {
        assert!(WITHOUT_EFFECT.is_sorted());
    }

    #[test]
    fn indexed_options_are_known_by_their_stem() {
        assert!(
            is_without_effect("ivrs_ioapic[7]")
                && is_without_effect("x2apic_phys")
                && !is_without_effect("frob[1]")
        );
    }
}
