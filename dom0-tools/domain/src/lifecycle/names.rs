//! Names of domains: who has one, that nobody else gets it, and changing it.

use domcfg::identity::Uuid;
use xenctl::DomId;
use xenstore::{Tx, read_optional, transaction};

use super::error::{Error, Result, Step};
use super::lock::FileLock;
use super::{Toolstack, nodes};

impl Toolstack<'_> {
    /// A domain's name; `None` where it has none (yet, or any more).
    ///
    /// # Errors
    /// The store's.
    pub fn name(&self, domain: DomId) -> Result<Option<String>> {
        let path = format!("{}/name", nodes::home(domain));
        Ok(read_optional(self.store, Tx::NONE, &path)?)
    }

    /// The domain with this name.
    ///
    /// # Errors
    /// [`Error::Hypervisor`], [`Error::Store`].
    pub fn find(&self, name: &str) -> Result<Option<DomId>> {
        for info in self.hypervisor.domains().step("list the domains")? {
            let domain = DomId(info.domain);
            if self.name(domain)?.as_deref() == Some(name) {
                return Ok(Some(domain));
            }
        }
        Ok(None)
    }

    /// Gives a domain a name that no other has. With `old` it must have that one now.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::Renamed`], [`Error::NoDomain`], [`Error::Store`].
    pub fn rename(&self, domain: DomId, old: Option<&str>, new: &str) -> Result<()> {
        let uuid = self.uuid(domain)?;
        let _lock = self.lock_names()?;
        self.check_free(new, Some(domain))?;
        if let Some(expected) = old {
            self.check_name(domain, expected)?;
        }
        transaction(self.store, |tx| {
            let home = format!("{}/name", nodes::home(domain));
            self.store.write(tx, &home, new.as_bytes())?;
            let vm = format!("{}/name", nodes::vm(uuid));
            self.store.write(tx, &vm, new.as_bytes())
        })?;
        Ok(())
    }

    /// Keeps a domain that shut down under another name and UUID, so that one like it can be made: `suffix` is appended to its name.
    ///
    /// # Errors
    /// As [`Self::rename`].
    pub fn preserve(&self, domain: DomId, name: &str, suffix: &str) -> Result<()> {
        let uuid = Uuid::generate().map_err(|source| Error::File {
            action: "read",
            path: "/dev/urandom".into(),
            source,
        })?;
        let new = format!("{name}{suffix}");
        let old = self.uuid(domain)?;
        let _lock = self.lock_names()?;
        self.check_free(&new, Some(domain))?;
        self.check_name(domain, name)?;
        transaction(self.store, |tx| {
            let (vm, home) = (nodes::vm(uuid), nodes::home(domain));
            nodes::make_vm(self.store, tx, domain, uuid, &new)?;
            self.store.write(tx, &format!("{home}/vm"), vm.as_bytes())?;
            self.store
                .write(tx, &format!("{home}/name"), new.as_bytes())?;
            // The one that is made in its place has this UUID, and makes the node anew.
            nodes::remove(self.store, tx, &nodes::vm(old))
        })?;
        Ok(())
    }

    /// A domain's UUID in the hypervisor.
    ///
    /// # Errors
    /// [`Error::NoDomain`], [`Error::Hypervisor`].
    pub fn uuid(&self, domain: DomId) -> Result<Uuid> {
        Ok(Uuid(self.info(domain)?.handle))
    }

    /// Keeps other tools from giving names, so that one found free stays it.
    pub(super) fn lock_names(&self) -> Result<FileLock> {
        FileLock::take(self.directories.run.join("domain-names.lock"))
    }

    /// Checks that no domain but `except` has the name.
    pub(super) fn check_free(&self, name: &str, except: Option<DomId>) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        match self.find(name)? {
            Some(domain) if Some(domain) != except => Err(Error::NameTaken {
                name: name.to_owned(),
                domain,
            }),
            _ => Ok(()),
        }
    }

    fn check_name(&self, domain: DomId, expected: &str) -> Result<()> {
        let actual = self.name(domain)?.unwrap_or_default();
        if actual == expected {
            return Ok(());
        }
        Err(Error::Renamed {
            domain,
            expected: expected.to_owned(),
            actual,
        })
    }
}
