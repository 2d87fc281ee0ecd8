//! The addresses and ports that Services are given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use anyhow::Context;
use imbl::OrdSet;

/// A range of addresses, and which of them are taken.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    base: IpAddr,
    bits: u8,
    taken: OrdSet<IpAddr>,
}

/// Why an address cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is somebody's.
    Already,
    /// It is of another range.
    Elsewhere,
    /// There is none left.
    All,
}

impl Range {
    /// Reads a range such as `10.96.0.0/16`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("{text:?} is not a range of addresses such as 10.96.0.0/16");
        let (base, bits) = text.split_once('/').with_context(wrong)?;
        let base: IpAddr = base.parse().with_context(wrong)?;
        let bits: u8 = bits.parse().with_context(wrong)?;
        let all = if base.is_ipv4() { 32 } else { 128 };
        anyhow::ensure!(
            bits + 2 <= all,
            "{text} is a range without addresses to give"
        );
        let taken = OrdSet::new();
        Ok(Self { base, bits, taken })
    }

    /// The same range, with nothing taken.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            taken: OrdSet::new(),
            ..*self
        }
    }

    /// Whether its addresses are of IPv4.
    pub(crate) const fn is_ipv4(&self) -> bool {
        self.base.is_ipv4()
    }

    /// The first address, which the API server's own Service has.
    pub(crate) fn first(&self) -> IpAddr {
        self.at(1)
    }

    /// Takes one address.
    pub(crate) fn take(&mut self, address: IpAddr) -> Result<(), Taken> {
        if !self.contains(address) {
            return Err(Taken::Elsewhere);
        }
        match self.taken.insert(address) {
            None => Ok(()),
            Some(_) => Err(Taken::Already),
        }
    }

    /// Takes any address: at random, and after some tries the first that is free.
    pub(crate) fn take_any(&mut self) -> Result<IpAddr, Taken> {
        const TRIES: usize = 16;
        let n_usable = self.size() - 2;
        let random = (0..TRIES).map(|_| 1 + fastrand::u64(..n_usable));
        let candidates = random.chain(1..=n_usable);
        for candidate in candidates {
            let address = self.at(candidate);
            if self.taken.insert(address).is_none() {
                return Ok(address);
            }
        }
        Err(Taken::All)
    }

    /// Gives an address back.
    pub(crate) fn give_back(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()) >> (32 - u32::from(self.bits)) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()) >> (128 - u32::from(self.bits)) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// How many addresses there are, as far as anybody will ever ask.
    fn size(&self) -> u64 {
        let all: u8 = if self.is_ipv4() { 32 } else { 128 };
        1 << (all - self.bits).min(32)
    }

    fn at(&self, index: u64) -> IpAddr {
        match self.base {
            IpAddr::V4(base) => {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                Ipv4Addr::from_bits(base.to_bits() + index).into()
            }
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() + u128::from(index)).into(),
        }
    }
}

/// The ports of nodes that Services are given.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodePorts(OrdSet<u16>);

/// As a kube-apiserver gives them by default.
pub(crate) const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

impl NodePorts {
    /// Takes one port.
    pub(crate) fn take(&mut self, port: u16) -> Result<(), Taken> {
        if !NODE_PORTS.contains(&port) {
            return Err(Taken::Elsewhere);
        }
        match self.0.insert(port) {
            None => Ok(()),
            Some(_) => Err(Taken::Already),
        }
    }

    /// Takes any port.
    pub(crate) fn take_any(&mut self) -> Result<u16, Taken> {
        let first = fastrand::u16(NODE_PORTS);
        let mut candidates = (first..=*NODE_PORTS.end()).chain(NODE_PORTS);
        candidates
            .find(|port| self.0.insert(*port).is_none())
            .ok_or(Taken::All)
    }

    /// Gives a port back.
    pub(crate) fn give_back(&mut self, port: u16) {
        self.0.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::{NodePorts, Range, Taken};

    #[test]
    fn no_address_is_given_twice_and_all_are_given() {
        let mut range = Range::parse("10.0.0.0/28").unwrap();
        let first = range.first();
        range.take(first).unwrap();
        let mut given = std::collections::BTreeSet::from([first]);
        while let Ok(address) = range.take_any() {
            assert!(given.insert(address), "{address} came twice");
        }
        assert_eq!(given.len(), 14, "neither the network's nor the broadcast's");
        range.give_back(first);
        assert_eq!(range.take_any(), Ok(first));
    }

    #[test]
    fn only_what_is_free_and_in_range_can_be_had() {
        let mut range = Range::parse("fd00::/108").unwrap();
        let address = "fd00::5".parse().unwrap();
        assert_eq!(range.take(address), Ok(()));
        assert_eq!(range.take(address), Err(Taken::Already));
        assert_eq!(
            range.take("10.0.0.1".parse().unwrap()),
            Err(Taken::Elsewhere)
        );
        assert_eq!(
            range.take("fd01::1".parse().unwrap()),
            Err(Taken::Elsewhere)
        );
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert!(Range::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn node_ports_end() {
        let mut ports = NodePorts::default();
        assert_eq!(ports.take(80), Err(Taken::Elsewhere));
        for _ in super::NODE_PORTS {
            ports.take_any().unwrap();
        }
        assert_eq!(ports.take_any(), Err(Taken::All));
        ports.give_back(30_001);
        assert_eq!(ports.take_any(), Ok(30_001));
    }
}
