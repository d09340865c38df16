//! Domains seen from dom0: building, devices and life cycle.
