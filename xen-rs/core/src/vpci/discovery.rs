//! Finding functions: at boot by following bridges, later when dom0 looks or reports one.

use core::ops::RangeInclusive;

use super::device::is_present;
use super::sbdf::Sbdf;
use super::seam::{ConfigSpace, Effects, Hardware, Platform};
use super::{PciDevice, Vpci};

/// Bounds the memory that broken hardware, which answers at every address, can take.
const MAX_DEVICES: usize = 4096;
const HEADER_TYPE: u16 = 0x0e;
const HEADER_MULTI_FUNCTION: u32 = 0x80;
const SECONDARY_BUS: u16 = 0x19;
const SUBORDINATE_BUS: u16 = 0x1a;

/// What is known of a bus while scanning upwards.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Bus {
    /// Below no bridge seen so far: perhaps the root of another hierarchy.
    PerhapsRoot,
    /// Directly below a bridge.
    Secondary,
    /// Reserved by a bridge, with nothing on it.
    Reserved,
}

impl Vpci {
    /// Finds the functions of segment 0 on `buses` and maps the BARs of those that decode already.
    ///
    /// Functions of the hypervisor must be hidden or made read-only before: firmware's interrupt settings are switched off here.
    /// Buses behind bridges are scanned where the bridges say they are; of other buses, except 0, only those with a device 0. What this
    /// misses is found when dom0 reads its vendor identifier. The cost is about 256 reads and 32 for each real bus.
    pub fn discover(
        &mut self,
        buses: RangeInclusive<u8>,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) {
        let mut known = [Bus::PerhapsRoot; 256];
        for bus in buses {
            let scan = match known[usize::from(bus)] {
                Bus::Secondary => true,
                Bus::Reserved => false,
                Bus::PerhapsRoot => bus == 0 || is_present(hw.read(Sbdf::new(0, bus, 0, 0), 0, 4)),
            };
            for device in 0..if scan { 32 } else { 0 } {
                self.discover_device(bus, device, &mut known, hw, effects);
            }
        }
    }

    fn discover_device(
        &mut self,
        bus: u8,
        device: u8,
        known: &mut [Bus; 256],
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) {
        let first = Sbdf::new(0, bus, device, 0);
        if !is_present(hw.read(first, 0, 4)) {
            return;
        }
        let functions = if hw.read(first, HEADER_TYPE, 1) & HEADER_MULTI_FUNCTION != 0 {
            8
        } else {
            1
        };
        for function in 0..functions {
            let sbdf = Sbdf::new(0, bus, device, function);
            self.add_device(sbdf, hw, effects);
            note_bridge(sbdf, known, hw);
        }
    }

    /// Looks for a function and takes it up, as for `PHYSDEVOP_pci_device_add`. Whether dom0 can use it now.
    pub fn add_device(&mut self, sbdf: Sbdf, hw: &dyn Hardware, effects: &mut dyn Effects) -> bool {
        if self.devices.contains_key(&sbdf) {
            return true;
        }
        let kept = self.hidden.contains(&sbdf) || self.read_only.contains(&sbdf);
        if kept || self.devices.len() >= MAX_DEVICES {
            return false;
        }
        let Some(mut device) = PciDevice::probe(sbdf, hw) else {
            return false;
        };
        device.start(&mut self.windows, &mut Platform { hw, effects });
        self.devices.insert(sbdf, device);
        true
    }

    /// Forgets a function that is gone, as for `PHYSDEVOP_pci_device_remove`: its BARs are unmapped and its vectors given back. Whether
    /// it was known.
    pub fn remove_device(
        &mut self,
        sbdf: Sbdf,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> bool {
        let Some(mut device) = self.devices.remove(&sbdf) else {
            return false;
        };
        device.stop(&mut self.windows, &mut Platform { hw, effects });
        true
    }

    /// Keeps a function for the hypervisor: dom0 finds nothing there.
    pub fn hide(&mut self, sbdf: Sbdf, hw: &dyn Hardware, effects: &mut dyn Effects) {
        self.remove_device(sbdf, hw, effects);
        self.hidden.insert(sbdf);
    }

    /// Keeps a function for the hypervisor, such as an IOMMU: dom0 may read its configuration space, but changes nothing and gets none
    /// of its BARs mapped.
    pub fn make_read_only(&mut self, sbdf: Sbdf, hw: &dyn Hardware, effects: &mut dyn Effects) {
        self.remove_device(sbdf, hw, effects);
        self.read_only.insert(sbdf);
    }
}

/// Records the buses behind a bridge. One that points backwards is not set up or lies.
fn note_bridge(sbdf: Sbdf, known: &mut [Bus; 256], hw: &dyn ConfigSpace) {
    if !matches!(hw.read(sbdf, HEADER_TYPE, 1) & 0x7f, 1 | 2) {
        return;
    }
    let secondary = hw.read(sbdf, SECONDARY_BUS, 1) as usize & 0xff;
    let subordinate = hw.read(sbdf, SUBORDINATE_BUS, 1) as usize & 0xff;
    if secondary <= usize::from(sbdf.bus()) || subordinate < secondary {
        return;
    }
    for bus in &mut known[secondary..=subordinate] {
        if *bus == Bus::PerhapsRoot {
            *bus = Bus::Reserved;
        }
    }
    known[secondary] = Bus::Secondary;
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeEffects, FakeFunction, FakeHardware};
    use super::super::{Sbdf, Vpci};
    use std::vec::Vec;

    fn bridge(secondary: u32, subordinate: u32) -> FakeFunction {
        let mut function = FakeFunction::endpoint();
        function
            .set(0x0c, 0x0001_0000, 0)
            .set(0x18, subordinate << 16 | secondary << 8, u32::MAX);
        function
    }

    fn multi_function() -> FakeFunction {
        let mut function = FakeFunction::endpoint();
        function.set(0x0c, 0x0080_0000, 0);
        function
    }

    fn found(functions: Vec<(Sbdf, FakeFunction)>) -> (Vec<Sbdf>, u64) {
        let (hw, mut effects, mut vpci) =
            (FakeHardware::default(), FakeEffects::default(), Vpci::new());
        hw.functions.borrow_mut().extend(functions);
        vpci.discover(0..=255, &hw, &mut effects);
        (
            vpci.devices().map(|(sbdf, _)| sbdf).collect(),
            *hw.config_reads.borrow(),
        )
    }

    #[test]
    fn bridges_are_followed_and_other_roots_found() {
        let expected = [
            (0, 0),
            (0, 2),
            (1, 5),
            (1, 0x1f),
            (3, 0),
            (0x40, 0),
            (0x40, 9),
        ]
        .map(|(bus, device)| Sbdf::new(0, bus, device, 0));
        let mut functions: Vec<_> = expected
            .iter()
            .map(|sbdf| (*sbdf, FakeFunction::endpoint()))
            .collect();
        functions[1].1 = bridge(1, 0x20);
        functions[3].1 = bridge(3, 3);
        let (found, reads) = found(functions);
        assert_eq!(found, expected);
        assert!(reads < 1000, "{reads} reads");
    }

    #[test]
    fn functions_beyond_the_first_need_the_multi_function_bit() {
        let functions = [(1, 0), (1, 3), (2, 0), (2, 7)]
            .map(|(device, function)| Sbdf::new(0, 0, device, function));
        let found = found(
            functions
                .iter()
                .map(|sbdf| {
                    (
                        *sbdf,
                        if sbdf.device() == 1 {
                            FakeFunction::endpoint()
                        } else {
                            multi_function()
                        },
                    )
                })
                .collect(),
        );
        assert_eq!(found.0, [functions[0], functions[2], functions[3]]);
    }

    #[test]
    fn bridge_loops_end() {
        let functions =
            [(0u8, 1u8), (1, 0), (2, 0)].map(|(bus, device)| Sbdf::new(0, bus, device, 0));
        let found = found(Vec::from([
            (functions[0], bridge(1, 255)),
            (functions[1], bridge(0, 255)),
            (functions[2], bridge(2, 1)),
        ]));
        assert_eq!(found.0, functions[..2]);
    }

    #[test]
    fn function_that_appears_later_is_taken_up_when_looked_for() {
        let (hw, mut effects, mut vpci) =
            (FakeHardware::default(), FakeEffects::default(), Vpci::new());
        let sbdf = Sbdf::new(0, 0x7f, 8, 2);
        assert_eq!(vpci.read(sbdf, 0, 4, &hw, &mut effects), u32::MAX);
        let mut function = FakeFunction::endpoint();
        function.set(4, 2, 0x547).bar32(0x10, 0xf000_0000, 0x1000);
        hw.functions.borrow_mut().insert(sbdf, function);
        assert_eq!(vpci.read(sbdf, 4, 2, &hw, &mut effects), 0xffff);
        assert_eq!(vpci.read(sbdf, 0, 2, &hw, &mut effects), 0x1234);
        assert!(effects.mapped.contains(&0xf0000));
        assert!(vpci.remove_device(sbdf, &hw, &mut effects) && effects.mapped.is_empty());
        assert!(!vpci.remove_device(sbdf, &hw, &mut effects));
    }

    #[test]
    fn functions_of_the_hypervisor_are_kept_from_dom0() {
        let (hw, mut effects, mut vpci) =
            (FakeHardware::default(), FakeEffects::default(), Vpci::new());
        let (hidden, read_only) = (Sbdf::new(0, 0, 1, 0), Sbdf::new(0, 0, 2, 0));
        for sbdf in [hidden, read_only] {
            let mut function = FakeFunction::endpoint();
            function
                .set(4, 2, 0x547)
                .bar32(0x10, 0xf000_0000 | sbdf.0 << 12, 0x1000);
            hw.functions.borrow_mut().insert(sbdf, function);
        }
        vpci.hide(hidden, &hw, &mut effects);
        vpci.make_read_only(read_only, &hw, &mut effects);
        vpci.discover(0..=0, &hw, &mut effects);
        assert!(effects.mapped.is_empty() && !vpci.add_device(hidden, &hw, &mut effects));
        assert_eq!(vpci.read(hidden, 0, 4, &hw, &mut effects), u32::MAX);
        assert_eq!(vpci.read(read_only, 2, 4, &hw, &mut effects), 0x0002_abcd);
        hw.config_writes.borrow_mut().clear();
        vpci.write(read_only, 4, 2, 0, &hw, &mut effects);
        vpci.write(hidden, 4, 2, 0, &hw, &mut effects);
        assert!(hw.config_writes.borrow().is_empty());
    }
}
