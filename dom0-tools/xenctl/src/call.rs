//! The names of requests, as errors print them; the real hypervisor and the fake one use the same.

macro_rules! calls {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`")] pub const $name: &str = $text;)*

        /// Every name.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

calls! {
    OPEN = "open of the hypervisor";

    VERSION = "xen_version version";
    EXTRA_VERSION = "xen_version extraversion";
    CAPABILITIES = "xen_version capabilities";
    CHANGESET = "xen_version changeset";
    COMMAND_LINE = "xen_version commandline";
    COMPILE_INFO = "xen_version compile_info";
    PAGE_SIZE = "xen_version pagesize";
    PLATFORM_PARAMETERS = "xen_version platform_parameters";
    BUILD_ID = "xen_version build_id";

    PHYSINFO = "sysctl physinfo";
    SCHEDULER_ID = "sysctl sched_id";
    CPU_TOPOLOGY = "sysctl cputopoinfo";
    PCI_TOPOLOGY = "sysctl pcitopoinfo";
    NUMA_INFO = "sysctl numainfo";
    CPU_INFO = "sysctl getcpuinfo";
    READ_CONSOLE = "sysctl readconsole";
    DEBUG_KEYS = "sysctl debug_keys";
    DOMAIN_LIST = "sysctl getdomaininfolist";
    POOL_SCHEDULER = "sysctl scheduler_op";
    POOL_CREATE = "sysctl cpupool_op create";
    POOL_DESTROY = "sysctl cpupool_op destroy";
    POOL_INFO = "sysctl cpupool_op info";
    POOL_ADD_CPU = "sysctl cpupool_op addcpu";
    POOL_REMOVE_CPU = "sysctl cpupool_op rmcpu";
    POOL_MOVE_DOMAIN = "sysctl cpupool_op movedomain";
    POOL_FREE_INFO = "sysctl cpupool_op freeinfo";
    FEATURESET = "sysctl get_cpu_featureset";
    HOST_CPU_POLICY = "sysctl get_cpu_policy";

    DOMAIN_INFO = "domctl getdomaininfo";
    CREATE_DOMAIN = "domctl createdomain";
    DESTROY_DOMAIN = "domctl destroydomain";
    PAUSE_DOMAIN = "domctl pausedomain";
    UNPAUSE_DOMAIN = "domctl unpausedomain";
    RESUME_DOMAIN = "domctl resumedomain";
    SET_HANDLE = "domctl setdomainhandle";
    MAX_VCPUS = "domctl max_vcpus";
    MAX_MEMORY = "domctl max_mem";
    PAGING_MEMORY = "domctl set_paging_mempool_size";
    SET_TSC_INFO = "domctl settscinfo";
    SET_TIME_OFFSET = "domctl settimeoffset";
    GET_NODE_AFFINITY = "domctl getnodeaffinity";
    SET_NODE_AFFINITY = "domctl setnodeaffinity";
    SET_LLC_COLORS = "domctl set_llc_colors";
    IOPORT_PERMISSION = "domctl ioport_permission";
    IRQ_PERMISSION = "domctl irq_permission";
    IOMEM_PERMISSION = "domctl iomem_permission";
    MEMORY_MAPPING = "domctl memory_mapping";
    SEND_TRIGGER = "domctl sendtrigger";
    VCPU_INFO = "domctl getvcpuinfo";
    GET_AFFINITY = "domctl getvcpuaffinity";
    SET_AFFINITY = "domctl setvcpuaffinity";
    DOMAIN_SCHEDULER = "domctl scheduler_op";
    GET_HVM_CONTEXT = "domctl gethvmcontext";
    SET_HVM_CONTEXT = "domctl sethvmcontext";
    GET_CPU_POLICY = "domctl get_cpu_policy";
    SET_CPU_POLICY = "domctl set_cpu_policy";

    SHARING_FREED = "memory_op get_sharing_freed_pages";
    SHARING_SHARED = "memory_op get_sharing_shared_pages";
    CLAIM_PAGES = "memory_op claim_pages";
    SET_MEMORY_MAP = "memory_op set_memory_map";
    POPULATE = "memory_op populate_physmap";
    SET_POD_TARGET = "memory_op set_pod_target";
    MAXIMUM_GFN = "memory_op maximum_gpfn";
    ADD_TO_PHYSMAP = "memory_op add_to_physmap";
    REMOVE_FROM_PHYSMAP = "memory_op remove_from_physmap";
    ACQUIRE_RESOURCE = "map of the grant table";
    MAP_FOREIGN = "map of guest memory";
    MAP_GRANT = "map of a grant";
    MAP_STORE_RING = "map of dom0's store ring";

    MAP_PIRQ = "physdev_op map_pirq";
    GET_PARAM = "hvm_op get_param";
    SET_PARAM = "hvm_op set_param";
    REMOTE_SHUTDOWN = "sched_op remote_shutdown";
    ALLOC_UNBOUND = "event_channel_op alloc_unbound";

    OPEN_EVENTS = "open of event channels";
    BIND_INTERDOMAIN = "event channel bind_interdomain";
    BIND_VIRQ = "event channel bind_virq";
    BIND_UNBOUND = "event channel bind_unbound_port";
    UNBIND = "event channel unbind";
    NOTIFY = "event channel notify";
    PENDING = "event channel read";
    UNMASK = "event channel unmask";
}
