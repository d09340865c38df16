//! Whole lives of domains against a fake hypervisor and a store within the process.

mod creation;
mod endings;
mod keys;
mod names;
mod removal;
mod unreliable;

use std::collections::BTreeSet;
use std::fs;

use domcfg::DomainConfig;
use domcfg::model::DomainType;
use tempfile::TempDir;
use xenctl::fake::FakeXen;
use xenctl::{DomId, Hypervisor};
use xenstore::engine::Settings;
use xenstore::local::LocalStore;
use xenstore::{Access, Tx};

use super::{Directories, Request, Toolstack};
use crate::devices::LinuxHost;
use kernel_image::sample;

/// A dom0 with nothing in it.
pub struct Dom0 {
    pub xen: FakeXen,
    pub store: LocalStore,
    host: LinuxHost,
    pub directories: Directories,
    /// Keeps the files.
    pub files: TempDir,
}

/// A host's directories, all empty.
fn directories(files: &TempDir) -> Directories {
    let path = |name| {
        let path = files.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    Directories {
        lib: path("lib"),
        run: path("run"),
        dump: path("dump"),
        cache: path("cache"),
    }
}

impl Dom0 {
    pub fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let directories = directories(&files);
        fs::write(files.path().join("kernel"), sample::kernel()).unwrap();
        Self {
            xen: FakeXen::new(),
            store: LocalStore::new(&Settings::default()),
            host: LinuxHost::new(),
            directories,
            files,
        }
    }

    pub fn toolstack(&self) -> Toolstack<'_> {
        self.toolstack_on(&self.store)
    }

    pub fn toolstack_on<'a>(&'a self, store: &'a dyn Access) -> Toolstack<'a> {
        Toolstack {
            hypervisor: &self.xen,
            store,
            host: &self.host,
            directories: &self.directories,
        }
    }

    /// A guest of 64 MiB with two vCPUs of three.
    pub fn config(&self, name: &str) -> DomainConfig {
        let mut config = DomainConfig::default();
        config.c_info.domain_type = DomainType::Pvh;
        config.c_info.name = Some(name.into());
        config.c_info.uuid = "adf389ee-9a13-41d6-b686-cd69bf695628".parse().unwrap();
        let kernel = self.files.path().join("kernel");
        config.b_info.kernel = Some(kernel.to_str().unwrap().into());
        config.b_info.max_memkb = Some(64 << 10);
        config.b_info.max_vcpus = 3;
        config.b_info.avail_vcpus = domcfg::CpuSet::first(2);
        config
    }

    pub fn request(&self, name: &str) -> Request {
        self.toolstack().request(&self.config(name)).unwrap()
    }

    /// A domain that runs.
    pub fn running(&self, name: &str) -> DomId {
        self.running_as(&self.config(name))
    }

    /// A domain that runs, from this configuration.
    pub fn running_as(&self, config: &DomainConfig) -> DomId {
        let request = self.toolstack().request(config).unwrap();
        let domain = self.toolstack().create(&request).unwrap();
        self.toolstack().unpause(domain).unwrap();
        domain
    }

    /// All nodes: path, value, permissions.
    pub fn nodes(&self) -> BTreeSet<String> {
        let mut nodes = BTreeSet::new();
        collect(&self.store, "", &mut nodes);
        nodes
    }

    /// What is left of domains: in the hypervisor, in the store, and in files.
    pub fn leftovers(&self) -> Vec<String> {
        let domains = self.xen.domains().unwrap();
        let domains = domains.iter().filter(|info| info.domain != 0);
        let domains = domains.map(|info| format!("domain {}", info.domain));
        let roots = [
            "/local/domain/0",
            "/local/domain ",
            "/local ",
            "/libxl ",
            "/vm ",
            "/tool",
        ];
        let nodes = self.nodes().into_iter();
        let nodes = nodes.filter(|node| !roots.iter().any(|root| node.starts_with(root)));
        let files = fs::read_dir(&self.directories.lib).unwrap();
        let files = files.map(|file| file.unwrap().path().display().to_string());
        domains.chain(nodes).chain(files).collect()
    }
}

fn collect(store: &LocalStore, path: &str, nodes: &mut BTreeSet<String>) {
    let node = if path.is_empty() { "/" } else { path };
    if !path.is_empty() {
        let value = store.read(Tx::NONE, node).unwrap();
        let permissions = store.permissions(Tx::NONE, node).unwrap();
        let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
        nodes.insert(format!(
            "{path} = {:?} ({})",
            String::from_utf8_lossy(&value),
            permissions.join(",")
        ));
    }
    for child in store.list(Tx::NONE, node).unwrap() {
        collect(store, &format!("{path}/{child}"), nodes);
    }
}
