//! Requests about links and addresses, and what their answers say.

use super::super::super::host::{Link, LinkChange};
use super::message::{Builder, attributes, u32_at};

/// `RTM_NEWLINK`: also what an answer about a link is called.
pub const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
/// `RTM_NEWADDR`: what an answer about an address is called.
pub const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;

/// `NLM_F_ACK`: answer also if all is well.
const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_DUMP`: all there are.
const ALL: u16 = 0x300;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;

/// Bytes of `struct ifinfomsg`: family, pad, device type, index, flags, changed flags.
const LINK_BODY: usize = 16;
/// Bytes of `struct ifaddrmsg`: family, prefix length, flags, scope, index.
const ADDRESS_BODY: usize = 8;

fn link_body(index: u32, flags: u32, changed: u32) -> Vec<u8> {
    [
        [0; 4],
        index.to_ne_bytes(),
        flags.to_ne_bytes(),
        changed.to_ne_bytes(),
    ]
    .concat()
}

/// Asks for one link.
pub fn get_link(sequence: u32, name: &str) -> Vec<u8> {
    let name = [name.as_bytes(), &[0]].concat();
    Builder::new(GET_LINK, 0, sequence, &link_body(0, 0, 0))
        .attribute(IFLA_IFNAME, &name)
        .finish()
}

/// Asks for all links.
pub fn get_links(sequence: u32) -> Vec<u8> {
    Builder::new(GET_LINK, ALL, sequence, &link_body(0, 0, 0)).finish()
}

/// Changes a link.
pub fn set_link(sequence: u32, index: u32, change: &LinkChange) -> Vec<u8> {
    let (flags, changed) = match change.up {
        Some(true) => (IFF_UP, IFF_UP),
        Some(false) => (0, IFF_UP),
        None => (0, 0),
    };
    let mut message = Builder::new(
        SET_LINK,
        ACKNOWLEDGE,
        sequence,
        &link_body(index, flags, changed),
    );
    if let Some(name) = &change.name {
        message = message.attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
    }
    if let Some(address) = &change.address {
        message = message.attribute(IFLA_ADDRESS, address);
    }
    if let Some(mtu) = change.mtu {
        message = message.attribute(IFLA_MTU, &mtu.to_ne_bytes());
    }
    if let Some(master) = change.master {
        message = message.attribute(IFLA_MASTER, &master.unwrap_or(0).to_ne_bytes());
    }
    message.finish()
}

/// Asks for all addresses.
pub fn get_addresses(sequence: u32) -> Vec<u8> {
    Builder::new(GET_ADDRESS, ALL, sequence, &[0; ADDRESS_BODY]).finish()
}

/// Asks to delete the address that an answer described.
pub fn delete_address(sequence: u32, answer: &[u8]) -> Option<Vec<u8>> {
    let (body, rest) = answer.split_at_checked(ADDRESS_BODY)?;
    let mut message = Builder::new(DELETE_ADDRESS, ACKNOWLEDGE, sequence, body);
    for (kind, value) in
        attributes(rest).filter(|(kind, _)| matches!(*kind, IFA_ADDRESS | IFA_LOCAL))
    {
        message = message.attribute(kind, value);
    }
    Some(message.finish())
}

/// Which link an answer's address is on.
pub fn link_of_address(answer: &[u8]) -> Option<u32> {
    u32_at(answer, 4)
}

/// The link that an answer describes.
pub fn link(answer: &[u8]) -> Option<Link> {
    let (body, rest) = answer.split_at_checked(LINK_BODY)?;
    let mut link = Link {
        index: u32_at(body, 4)?,
        is_up: u32_at(body, 8)? & IFF_UP != 0,
        ..Link::default()
    };
    for (kind, value) in attributes(rest) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_MASTER => link.master = u32_at(value, 0),
            IFLA_LINKINFO => {
                link.is_bridge = attributes(value)
                    .any(|(kind, value)| kind == IFLA_INFO_KIND && text(value) == "bridge");
            }
            _ => {}
        }
    }
    Some(link)
}

fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_everything_has_the_bytes_of_the_manual() {
        let change = LinkChange {
            name: Some("web".to_owned()),
            address: Some([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]),
            mtu: Some(1500),
            master: Some(Some(3)),
            up: Some(true),
        };
        let expected: &[u8] = &[
            72, 0, 0, 0, 19, 0, 5, 0, 9, 0, 0, 0, 0, 0, 0,
            0, // length, RTM_SETLINK, REQUEST|ACK, 9, port 0
            0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, // any family, link 4, up, of up
            8, 0, 3, 0, b'w', b'e', b'b', 0, // name
            10, 0, 1, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, // address
            8, 0, 4, 0, 0xdc, 5, 0, 0, // MTU
            8, 0, 10, 0, 3, 0, 0, 0, // master
        ];
        let mut expected = expected.to_vec();
        expected[0] = u8::try_from(expected.len()).expect("short");
        assert_eq!(set_link(9, 4, &change), expected);
    }

    #[test]
    fn taking_a_link_down_and_out_changes_nothing_else() {
        let change = LinkChange {
            master: Some(None),
            up: Some(false),
            ..LinkChange::default()
        };
        let bytes = set_link(1, 4, &change);
        assert_eq!(
            bytes[16..],
            [
                0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 10, 0, 0, 0, 0, 0
            ]
        );
    }

    #[test]
    fn a_bridge_is_recognised() {
        let kind: &[u8] = &[11, 0, 1, 0, b'b', b'r', b'i', b'd', b'g', b'e', 0, 0];
        let message = Builder::new(NEW_LINK, 0, 0, &link_body(5, IFF_UP | 0x1000, 0))
            .attribute(IFLA_IFNAME, b"xenbr0\0")
            .attribute(IFLA_MTU, &9000u32.to_ne_bytes())
            .attribute(IFLA_LINKINFO | 0x8000, kind)
            .finish();
        let expected = Link {
            index: 5,
            name: "xenbr0".to_owned(),
            mtu: 9000,
            master: None,
            is_bridge: true,
            is_up: true,
        };
        assert_eq!(link(&message[16..]), Some(expected));
        assert_eq!(link(&message[16..28]), None);
    }

    #[test]
    fn an_address_is_deleted_as_it_was_described() {
        let answer = Builder::new(NEW_ADDRESS, 0, 0, &[2, 24, 0, 0, 7, 0, 0, 0])
            .attribute(IFA_ADDRESS, &[10, 9, 0, 1])
            .attribute(IFA_LOCAL, &[10, 9, 0, 1])
            .attribute(3, b"label\0")
            .finish();
        let answer = &answer[16..];
        assert_eq!(link_of_address(answer), Some(7));
        let request = delete_address(1, answer).expect("whole");
        assert_eq!(request[4..6], [21, 0]);
        assert_eq!(request[16..], answer[..24]);
    }
}
