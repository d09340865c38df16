//! Setting up dom0, with a hypervisor and a store that are played.

use std::fs;

use tempfile::TempDir;
use xen_abi::errno::Errno;
use xenconsoled::dom0::{Directories, Error, Outcome, Uuid, set_up};
use xenctl::fake::FakeXen;
use xenctl::{DomId, Hypervisor, call};
use xenstore::local::LocalStore;
use xenstore::{Tx, read_optional};

struct World {
    xen: FakeXen,
    store: LocalStore,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            xen: FakeXen::new(),
            store: LocalStore::default(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn set_up(&self, uuid: Uuid) -> Result<Outcome, Error> {
        let directories = Directories {
            library: self.directory.path().into(),
            run: self.directory.path().into(),
        };
        set_up(&self.store, &self.xen, &directories, uuid)
    }

    fn node(&self, path: &str) -> Option<String> {
        read_optional(&self.store, Tx::NONE, path).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }
}

#[test]
fn dom0_gets_its_nodes_and_its_file_once() {
    let world = World::new();
    fs::write(world.directory.path().join("domid-history"), "1 2\n").unwrap();
    assert_eq!(world.set_up(Uuid::default()).unwrap(), Outcome::Done);
    assert_eq!(world.node("/local/domain/0/domid").as_deref(), Some("0"));
    assert_eq!(
        world.node("/local/domain/0/name").as_deref(),
        Some("Domain-0")
    );
    assert_eq!(world.node("/local/pool/0/name").as_deref(), Some("Pool-0"));
    assert_eq!(world.node("/local/pool/1/name"), None);
    let uuid = Uuid(world.xen.domain(DomId::DOM0).unwrap().handle);
    assert_eq!(world.files(), [format!("userdata-d.0.{uuid}.libxl-json")]);
    assert_eq!(
        world.set_up(Uuid::default()).unwrap(),
        Outcome::AlreadySetUp
    );
}

#[test]
fn a_uuid_is_dom0s_from_then_on() {
    let world = World::new();
    let uuid: Uuid = "57097661-40b5-4d06-8119-e20baedef0a4".parse().unwrap();
    world.set_up(uuid).unwrap();
    assert_eq!(world.xen.domain(DomId::DOM0).unwrap().handle, uuid.0);
    assert_eq!(world.files(), [format!("userdata-d.0.{uuid}.libxl-json")]);
}

#[test]
fn what_failed_is_done_the_next_time() {
    let world = World::new();
    world.xen.fail_next(call::POOL_INFO, Errno::EIO);
    let error = world.set_up(Uuid::default()).unwrap_err().to_string();
    assert!(error.starts_with("cannot list the CPU pools"), "{error}");
    assert_eq!(world.set_up(Uuid::default()).unwrap(), Outcome::Done);
    assert!(world.node("/local/pool/0/name").is_some());
}
