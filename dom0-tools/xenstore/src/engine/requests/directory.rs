//! `DIRECTORY` and `DIRECTORY_PART`: the names of a node's children.

use super::{Answer, Call, arguments};
use crate::Errno;
use crate::engine::rights::Needs;
use crate::engine::server::Server;
use crate::wire::{PAYLOAD_MAX, strings, terminated};

/// `DIRECTORY`: all names, if they fit into one answer.
pub fn whole(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let path = server.node_path(call, arguments::only(call.payload)?)?;
    let node = server.find(call, &path, Needs::READ)?;
    if node.children.bytes() > PAYLOAD_MAX {
        return Err(Errno::E2BIG);
    }
    Ok(terminated(&node.children.iter().collect::<Vec<_>>()))
}

/// `DIRECTORY_PART`: as many whole names beginning with a byte of the list as fit, and an empty one after the last. The generation before them
/// tells the client whether its parts belong together.
pub fn part(server: &mut Server, call: &mut Call<'_>) -> Answer {
    if strings(call.payload).count() != 2 {
        return Err(Errno::EINVAL);
    }
    let [path, offset] = arguments::first(call.payload)?;
    let path = server.node_path(call, path)?;
    let node = server.find(call, &path, Needs::READ)?;
    let mut answer = terminated(&[node.generation.to_string()]);
    // A negative number is far beyond the end.
    let offset = usize::try_from(arguments::number(offset)).unwrap_or(usize::MAX);
    let (mut skip, names) = node.children.at_byte(offset);
    for name in names {
        let rest = &name.as_bytes()[skip..];
        if answer.len() + rest.len() + 1 >= PAYLOAD_MAX {
            return Ok(answer);
        }
        answer.extend_from_slice(rest);
        answer.push(0);
        skip = 0;
    }
    answer.push(0);
    Ok(answer)
}
