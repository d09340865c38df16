# Takes out of a console log what differs between any two runs on one hypervisor. For sed -E; used by compare-with-xen.sh.

# Terminal control and progress.
s/\x1b\[[0-9;?]*[A-Za-z]//g
s/Creating [^ ]+ … [0-9]+ s//g
# The hypervisor's own messages are its own.
/^\(XEN\)/d
# The kernel's time stamps.
s/^(\(d[0-9]+\) )?\[ *[0-9]+\.[0-9]{6}\]/[time]/

# Addresses, pages and what follows from them.
s/\[mem 0x[0-9a-f]+-0x[0-9a-f]+/[mem RANGE/g
s/0x[0-9a-fA-F]{6,16}/ADDRESS/g
s/\b(ffff|0000)[0-9a-f]{12}\b/ADDRESS/g
s/(ACPI: DSDT ADDRESS) [0-9A-F]+/\1 LENGTH/
s/\b[0-9]+ pages in unavailable/N pages in unavailable/
s/Total pages: [0-9]+/Total pages: N/
s/[0-9]+K\/[0-9]+K available/NK available/
s/[0-9]+K reserved/NK reserved/
s/last_pfn = ADDRESS|last_pfn = 0x[0-9a-f]+/last_pfn = N/

# Clocks, dates, identifiers made at random, interrupt numbers given in the order of asking.
s/[0-9]+\.[0-9]+ MHz/N MHz/
s/[0-9]+\.[0-9]+ BogoMIPS/N BogoMIPS/
s/lpj=[0-9]+/lpj=N/
s/max_idle_ns: [0-9]+ ns/max_idle_ns: N ns/
s/sched_clock: Marking stable.*/sched_clock: Marking stable/
s/audit\([0-9.]+:/audit(N:/
s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+( UTC)? \([0-9]+\)/DATE/
s/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/UUID/g
s/\b[0-9a-f]{32}\b/MD5/g
s/\birq [0-9]+/irq N/g
s/\bsd[a-z]\b/sdX/g
s/[0-9]+ usecs|[0-9]+ msecs/N usecs/g
s/uptime [0-9.]+ [0-9.]+/uptime N/
s/SECONDS [0-9.]+/SECONDS N/
s/time [0-9]+ms/time Nms/
s/round-trip min.*/round-trip N/
s/^(cpu_mhz +: ).*/\1N/
s/^(free_memory +: ).*/\1N/

# CPU time in xl list and xl vcpu-list, and where and how a vCPU runs at that moment.
s/^(Domain-0|pvh1)( +[0-9]+ +[0-9]+ +[0-9]+ +)[-a-z]{6} +[0-9.]+$/\1\2STATE TIME/
s/^(Domain-0|pvh1)( +[0-9]+ +[0-9]+ +)[0-9-]+ +[-a-z]{3} +[0-9.]+/\1\2CPU STATE TIME/
s/[[:space:]]+$//
