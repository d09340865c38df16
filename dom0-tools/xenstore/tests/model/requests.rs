//! The requests.

use xenstore::wire::{Message, MessageType, strings};
use xenstore::{Errno, Permission};

use super::*;

type Answer = Result<Vec<u8>, Errno>;

/// Path, value, permissions, children.
type Content = (String, Vec<u8>, Vec<Permission>, Vec<String>);

const OK: &[u8] = b"OK\0";

impl Model {
    pub fn handle(&mut self, key: Key, message: &Message) {
        let domain = key.domain();
        let request = (domain != 0).then(|| {
            self.requests.insert(
                self.next_request,
                (domain, self.domains[&domain].generation),
            );
            self.next_request += 1;
            self.next_request - 1
        });
        let mut call = Call {
            key,
            tx: None,
            request,
            first_event: None,
        };
        let mut outcome = self.dispatch(&mut call, message);
        if let Ok(payload) = &outcome {
            let memory = self.memory_of(domain) + payload.len() as u64 + 16;
            if payload.len() > 4096 {
                outcome = Err(Errno::E2BIG);
            } else if domain != 0 && payload.len() > 16 && memory >= self.limit("memory") {
                outcome = Err(Errno::ENOMEM);
            }
        }
        let reply = match outcome {
            Ok(payload) => message.reply(payload),
            Err(errno) => message.refuse(errno),
        };
        self.push(key, reply, request);
        if let Some((path, token)) = call.first_event {
            self.send_event(key, &path, &token, None);
        }
    }

    fn dispatch(&mut self, call: &mut Call, message: &Message) -> Answer {
        type Kind = MessageType;
        let kind = message.kind;
        let unknown = [Kind::WATCH_EVENT, Kind::ERROR, MessageType(20)].contains(&kind);
        if unknown || kind.0 > 22 {
            return Err(Errno::ENOSYS);
        }
        let privileged = [
            Kind::CONTROL,
            Kind::INTRODUCE,
            Kind::RELEASE,
            Kind::IS_DOMAIN_INTRODUCED,
            Kind::RESUME,
            Kind::SET_TARGET,
        ];
        if privileged.contains(&kind) && call.key.domain() != 0 {
            return Err(Errno::EACCES);
        }
        let peer = self.peers.get_mut(&call.key).expect("a peer");
        if message.tx_id != 0 && ![Kind::WATCH, Kind::UNWATCH].contains(&kind) {
            let tx = peer.txs.remove(&message.tx_id);
            call.tx = Some(tx.ok_or(Errno::ENOENT)?);
        }
        let answer = self.run(call, kind, &message.payload);
        if let Some(mut tx) = call.tx.take() {
            tx.log.push((message.clone(), answer.clone()));
            let peer = self.peers.get_mut(&call.key).expect("a peer");
            peer.txs.insert(message.tx_id, tx);
        }
        answer
    }

    fn run(&mut self, call: &mut Call, kind: MessageType, payload: &[u8]) -> Answer {
        type Kind = MessageType;
        match kind {
            Kind::READ => {
                let path = self.node_path(call, only(payload)?)?;
                Ok(self.find(call, &path, READ)?.value)
            }
            Kind::DIRECTORY => {
                let path = self.node_path(call, only(payload)?)?;
                Ok(list(&self.find(call, &path, READ)?))
            }
            Kind::DIRECTORY_PART => self.directory_part(call, payload),
            Kind::GET_PERMS => {
                let path = self.path(call, only(payload)?)?;
                let node = self.find(call, &path, READ)?;
                let texts = node.entries.iter().map(|entry| format!("{}\0", entry.0));
                Ok(texts.collect::<String>().into_bytes())
            }
            Kind::SET_PERMS => self.set_perms(call, payload),
            Kind::WRITE => {
                let end = payload
                    .iter()
                    .position(|&byte| byte == 0)
                    .ok_or(Errno::EINVAL)?;
                let path = self.node_path(call, &payload[..end])?;
                self.write(call, &path, Some(&payload[end + 1..]))
            }
            Kind::MKDIR => {
                let path = self.node_path(call, only(payload)?)?;
                self.write(call, &path, None)
            }
            Kind::RM => self.rm(call, payload),
            Kind::WATCH => self.watch(call, payload),
            Kind::UNWATCH => self.unwatch(call, payload),
            Kind::RESET_WATCHES => {
                call.tx = None;
                let peer = self.peers.get_mut(&call.key).expect("a peer");
                peer.watches.clear();
                peer.txs.clear();
                Ok(OK.to_vec())
            }
            Kind::TRANSACTION_START => self.start(call),
            Kind::TRANSACTION_END => self.end(call, payload),
            _ => self.about_domains(call, kind, payload),
        }
    }

    // Paths and nodes.

    fn path(&self, call: &Call, text: &[u8]) -> Result<String, Errno> {
        let text = std::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        let home = format!("/local/domain/{}/", call.key.domain());
        let path = match text.chars().next() {
            Some('/' | '@') => text.to_owned(),
            _ => home + text,
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-/_@".contains(c);
        let trailing = path.len() > 1 && path.ends_with('/');
        if !path.chars().all(allowed) || path.contains("//") || trailing || path.len() > 3072 {
            return Err(Errno::EINVAL);
        }
        let rest = path
            .strip_prefix("/local/domain/")
            .and_then(|rest| rest.split_once('/'));
        let len = rest.map_or(path.len(), |(_, rest)| rest.len()) as u64;
        if call.key.domain() != 0 && len > self.limit("path-max") {
            return Err(Errno::EINVAL);
        }
        Ok(path)
    }

    fn node_path(&self, call: &Call, text: &[u8]) -> Result<String, Errno> {
        let path = self.path(call, text)?;
        if path.starts_with('@') {
            Err(Errno::EINVAL)
        } else {
            Ok(path)
        }
    }

    fn find(&mut self, call: &mut Call, path: &str, needs: u8) -> Result<Node, Errno> {
        let domain = call.key.domain();
        if let Some(node) = self.look(call, path)? {
            let rights = self.rights(domain, &node.entries, node.generation);
            return if rights & needs == needs {
                Ok(node)
            } else {
                Err(Errno::EACCES)
            };
        }
        let mut above = parent(path);
        while let Some(path) = above {
            if let Some(node) = self.look(call, &path)? {
                let rights = self.rights(domain, &node.entries, node.generation);
                return Err(if rights & needs != 0 {
                    Errno::ENOENT
                } else {
                    Errno::EACCES
                });
            }
            above = parent(&path);
        }
        Err(Errno::EACCES)
    }

    fn directory_part(&mut self, call: &mut Call, payload: &[u8]) -> Answer {
        let words: Vec<&[u8]> = strings(payload).collect();
        let [path, offset] = words[..] else {
            return Err(Errno::EINVAL);
        };
        let path = self.node_path(call, path)?;
        let node = self.find(call, &path, READ)?;
        let offset: usize = std::str::from_utf8(offset)
            .unwrap_or("")
            .parse()
            .unwrap_or(0);
        let all = list(&node);
        let mut answer = format!("{}\0", node.generation).into_bytes();
        answer.extend_from_slice(all.get(offset..).unwrap_or_default());
        answer.push(0);
        Ok(answer)
    }

    fn write(&mut self, call: &mut Call, path: &str, value: Option<&[u8]>) -> Answer {
        let nodes = match (self.find(call, path, WRITE), value) {
            (Ok(_), None) => return Ok(OK.to_vec()),
            (Ok(mut node), Some(value)) => {
                node.value = value.to_vec();
                vec![(path.to_owned(), node)]
            }
            (Err(Errno::ENOENT), value) => self.new_nodes(call, path, value.unwrap_or_default())?,
            (Err(errno), _) => return Err(errno),
        };
        self.admit(call, &nodes)?;
        for (path, node) in nodes {
            self.set(call, &path, Some(node));
        }
        self.announce(call, path, false, &[]);
        Ok(OK.to_vec())
    }

    /// The nearest node that is there with its new child, and all that is missing below it.
    fn new_nodes(
        &mut self,
        call: &mut Call,
        path: &str,
        value: &[u8],
    ) -> Result<Vec<(String, Node)>, Errno> {
        let domain = call.key.domain();
        let above = parent(path).expect("the root is there");
        let mut nodes = match self.look(call, &above)? {
            Some(node) => vec![(above, node)],
            None => self.new_nodes(call, &above, b"")?,
        };
        let (_, above) = nodes.last_mut().expect("at least one");
        above
            .children
            .push(path.rsplit('/').next().expect("a name").to_owned());
        let mut node = above.clone();
        self.settle(&mut node);
        node.children.clear();
        node.value = value.to_vec();
        if domain != 0 {
            node.entries[0].0.domain = domain;
        }
        nodes.push((path.to_owned(), node));
        let more = nodes.len() as u64 - 1;
        if domain != 0 && self.nodes_in(call, domain) + more > self.limit("nodes") {
            return Err(Errno::ENOSPC);
        }
        Ok(nodes)
    }

    /// Nodes of a domain, as a transaction changes them.
    fn nodes_in(&self, call: &Call, domain: u16) -> u64 {
        let mut count = self.nodes_of(domain) as i64;
        if let Some(tx) = &call.tx {
            let is = |node: &Option<Node>| {
                i64::from(node.as_ref().is_some_and(|node| node.owner() == domain))
            };
            for (path, base) in &tx.base {
                count += is(&tx.local[path]) - is(base);
            }
        }
        count.max(0) as u64
    }

    fn admit(&mut self, call: &mut Call, nodes: &[(String, Node)]) -> Result<(), Errno> {
        let domain = call.key.domain();
        let mut growth: BTreeMap<u16, i64> = BTreeMap::new();
        for (path, node) in nodes {
            let mut refused = None;
            if node.size() as u64 > self.limit("node-size") {
                refused = Some(Errno::ENOSPC);
            } else {
                let payer = if call.tx.is_some() {
                    domain
                } else {
                    node.owner()
                };
                let old = match &call.tx {
                    Some(tx) => tx.local.get(path).cloned().flatten(),
                    None => self
                        .nodes
                        .get(path)
                        .filter(|old| old.owner() == payer)
                        .cloned(),
                };
                let more = growth.entry(payer).or_default();
                *more += cost(path, node) as i64 - old.map_or(0, |old| cost(path, &old)) as i64;
                // A transaction's own nodes are in the call, not with the peer, meanwhile.
                let memory = self.memory_with(call, payer) as i64 + *more;
                if memory >= self.limit("memory") as i64 {
                    refused = Some(Errno::ENOMEM);
                }
            }
            if let Some(errno) = refused.filter(|_| domain != 0) {
                if let Some(tx) = &mut call.tx {
                    tx.failed = true;
                }
                return Err(errno);
            }
        }
        Ok(())
    }

    fn memory_with(&self, call: &Call, domain: u16) -> u64 {
        let locals = call.tx.iter().flat_map(|tx| &tx.local);
        let own: u64 = locals
            .filter_map(|(path, node)| Some(cost(path, node.as_ref()?)))
            .sum();
        let own = if domain == call.key.domain() { own } else { 0 };
        self.memory_of(domain) + own
    }

    fn announce(&mut self, call: &mut Call, path: &str, exact: bool, witnesses: &[Node]) {
        if let Some(tx) = &mut call.tx {
            let all = tx.events.get(path).is_none_or(|exact| *exact) && exact;
            tx.events.insert(path.to_owned(), all);
            return;
        }
        let paths = [Some(path.to_owned()), parent(path)];
        let now = paths
            .into_iter()
            .flatten()
            .filter_map(|path| self.nodes.get(&path).cloned());
        let witnesses: Vec<Node> = witnesses.iter().cloned().chain(now).collect();
        self.fire(path, exact, &witnesses, call.request);
    }

    fn rm(&mut self, call: &mut Call, payload: &[u8]) -> Answer {
        let path = self.node_path(call, only(payload)?)?;
        match self.find(call, &path, WRITE) {
            Ok(_) if path == "/" => return Err(Errno::EINVAL),
            Ok(_) => self.remove(call, &path)?,
            Err(Errno::ENOENT) => {
                let above = parent(&path).expect("the root is there");
                self.look(call, &above)?.ok_or(Errno::ENOENT)?;
            }
            Err(errno) => return Err(errno),
        }
        Ok(OK.to_vec())
    }

    pub(super) fn remove(&mut self, call: &mut Call, path: &str) -> Result<(), Errno> {
        let above = parent(path).expect("not the root");
        let mut above_node = self.look(call, &above)?.ok_or(Errno::EINVAL)?;
        self.look_at_all(call, path)?;
        let mut gone = Vec::new();
        self.collect(call, path, &above_node.clone(), &mut gone)?;
        for (path, _, _) in &gone {
            self.set(call, path, None);
        }
        let name = path.rsplit('/').next().expect("a name");
        // An outdated transaction may have a name twice.
        if let Some(at) = above_node.children.iter().rposition(|other| other == name) {
            above_node.children.remove(at);
        }
        self.set(call, &above, Some(above_node));
        for (at, node, above) in gone {
            self.announce(call, &at, at != path, &[node, above]);
        }
        Ok(())
    }

    fn look_at_all(&mut self, call: &mut Call, path: &str) -> Result<(), Errno> {
        if let Some(node) = self.look(call, path)? {
            for name in node.children {
                self.look_at_all(call, &child(path, &name))?;
            }
        }
        Ok(())
    }

    fn collect(
        &mut self,
        call: &mut Call,
        path: &str,
        above: &Node,
        gone: &mut Vec<(String, Node, Node)>,
    ) -> Result<(), Errno> {
        if let Some(node) = self.look(call, path)? {
            for name in &node.children {
                self.collect(call, &child(path, name), &node, gone)?;
            }
            gone.push((path.to_owned(), node, above.clone()));
        }
        Ok(())
    }

    fn set_perms(&mut self, call: &mut Call, payload: &[u8]) -> Answer {
        let words: Vec<&[u8]> = strings(payload).collect();
        if words.len() < 2 {
            return Err(Errno::EINVAL);
        }
        let domain = call.key.domain();
        if domain != 0 && words.len() as u64 - 1 > self.limit("node-permissions") {
            return Err(Errno::ENOSPC);
        }
        let parse = |word: &&[u8]| std::str::from_utf8(word).ok()?.parse().ok();
        let given: Option<Vec<Permission>> = words[1..].iter().map(parse).collect();
        let mut entries = Vec::new();
        for permission in given.ok_or(Errno::EINVAL)? {
            entries.push((permission, !self.acquaint(permission.domain)));
        }
        if entries[0].1 {
            return Err(Errno::ENOENT);
        }
        let path = self.path(call, words[0])?;
        let before = self.find(call, &path, WRITE | OWN)?;
        if domain != 0 && entries[0].0.domain != before.owner() {
            return Err(Errno::EPERM);
        }
        let mut node = before.clone();
        node.entries = entries;
        node.generation = u64::MAX;
        self.admit(call, &[(path.clone(), node.clone())])?;
        self.set(call, &path, Some(node));
        self.announce(call, &path, false, &[before]);
        Ok(OK.to_vec())
    }

    fn exists(&self, domain: u16) -> bool {
        self.world
            .get(&domain)
            .is_some_and(|state| *state != DomainState::Absent)
    }

    fn acquaint(&mut self, domain: u16) -> bool {
        let known = self.domains.contains_key(&domain);
        if !known && self.exists(domain) {
            self.know(domain);
        }
        known || self.exists(domain)
    }

    fn know(&mut self, domain: u16) {
        self.era += 1;
        let generation = self.generation;
        self.domains.entry(domain).or_insert(Domain {
            generation,
            ..Domain::default()
        });
    }

    // Watches.

    fn watch(&mut self, call: &mut Call, payload: &[u8]) -> Answer {
        let words: Vec<&[u8]> = strings(payload).collect();
        let [text, token] = words[..] else {
            return Err(Errno::EINVAL);
        };
        let path = self.path(call, text)?;
        let domain = call.key.domain();
        let same = |watch: &Watch| watch.path == path && watch.token == token;
        if self.peers[&call.key].watches.iter().any(same) {
            return Err(Errno::EEXIST);
        }
        if domain != 0 && self.watches_of(domain) > self.limit("watches") {
            return Err(Errno::E2BIG);
        }
        let memory = self.memory_of(domain) + (path.len() + token.len()) as u64;
        if domain != 0 && memory >= self.limit("memory") {
            return Err(Errno::ENOMEM);
        }
        let relative = !text.starts_with(b"/") && !text.starts_with(b"@");
        let prefix = if relative { path.len() - text.len() } else { 0 };
        call.first_event = Some((path[prefix..].to_owned(), token.to_vec()));
        let token = token.to_vec();
        let watches = &mut self.peers.get_mut(&call.key).expect("a peer").watches;
        watches.push(Watch {
            path,
            token,
            prefix,
        });
        Ok(OK.to_vec())
    }

    fn unwatch(&mut self, call: &mut Call, payload: &[u8]) -> Answer {
        let words: Vec<&[u8]> = strings(payload).collect();
        let [text, token] = words[..] else {
            return Err(Errno::EINVAL);
        };
        let path = self.path(call, text)?;
        let watches = &mut self.peers.get_mut(&call.key).expect("a peer").watches;
        let at = watches
            .iter()
            .position(|watch| watch.path == path && watch.token == token);
        watches.remove(at.ok_or(Errno::ENOENT)?);
        Ok(OK.to_vec())
    }

    // Transactions.

    fn start(&mut self, call: &mut Call) -> Answer {
        if call.tx.is_some() {
            return Err(Errno::EBUSY);
        }
        let domain = call.key.domain();
        if domain != 0 && self.transactions_of(domain) > self.limit("transactions") {
            return Err(Errno::ENOSPC);
        }
        let peer = self.peers.get_mut(&call.key).expect("a peer");
        peer.last_tx += 1;
        let era = self.era;
        let tx = Tx {
            era,
            ..Tx::default()
        };
        peer.txs.insert(peer.last_tx, tx);
        Ok(format!("{}\0", peer.last_tx).into_bytes())
    }

    fn end(&mut self, call: &mut Call, payload: &[u8]) -> Answer {
        let word = only(payload)?;
        if word != b"T" && word != b"F" {
            return Err(Errno::EINVAL);
        }
        let tx = call.tx.take().ok_or(Errno::ENOENT)?;
        if word == b"F" {
            return Ok(OK.to_vec());
        }
        if tx.failed {
            return Err(Errno::ENOMEM);
        }
        self.check_owners(call, &tx)?;
        let changed = |(path, base): &(String, Option<Node>)| {
            let now = self.nodes.get(path).map(|node| node.generation);
            now != base.as_ref().map(|node| node.generation)
        };
        if tx.base.iter().any(changed) {
            return Err(Errno::EAGAIN);
        }
        let at_once = self.at_once(call.key, &tx);
        self.commit(call, &tx);
        if let Some(at_once) = at_once {
            assert_eq!(
                self.contents(),
                at_once.contents(),
                "not as if done at once"
            );
        }
        Ok(OK.to_vec())
    }

    fn check_owners(&mut self, call: &Call, tx: &Tx) -> Result<(), Errno> {
        let mut growth: BTreeMap<u16, i64> = BTreeMap::new();
        for (path, base) in &tx.base {
            for (node, sign) in [(base, -1), (&tx.local[path], 1)] {
                if let Some(node) = node {
                    *growth.entry(node.owner()).or_default() += sign;
                }
            }
        }
        for (owner, more) in growth.into_iter().filter(|(_, more)| *more > 0) {
            if !self.acquaint(owner) {
                return Err(Errno::ENOMEM);
            }
            let all = self.nodes_of(owner) as i64 + more;
            if call.key.domain() != 0 && owner != 0 && all > self.limit("nodes") as i64 {
                return Err(Errno::ENOSPC);
            }
        }
        Ok(())
    }

    /// The store if all that the transaction asked were asked now, outside of any. Each answer must be the same.
    fn at_once(&self, key: Key, tx: &Tx) -> Option<Self> {
        let limits = [Errno::ENOSPC, Errno::ENOMEM, Errno::E2BIG];
        let limited = |answer: &Answer| answer.as_ref().is_err_and(|errno| limits.contains(errno));
        if tx.era != self.era || tx.log.iter().any(|(_, answer)| limited(answer)) {
            return None;
        }
        let mut copy = self.clone();
        // Answers and events of the copy are nobody's, and limits were looked at already.
        for (name, limit) in &mut copy.limits {
            if *name != "path-max" {
                *limit = i64::MAX as u64;
            }
        }
        for (message, answer) in &tx.log {
            let mut call = Call {
                key,
                tx: None,
                request: None,
                first_event: None,
            };
            type Kind = MessageType;
            if [Kind::TRANSACTION_START, Kind::TRANSACTION_END].contains(&message.kind) {
                continue;
            }
            let kinds = [
                Kind::INTRODUCE,
                Kind::RELEASE,
                Kind::CONTROL,
                Kind::SET_TARGET,
            ];
            if kinds.contains(&message.kind) || message.kind == Kind::RESUME {
                return None;
            }
            let now = copy.run(&mut call, message.kind, &message.payload);
            assert_eq!(
                now, *answer,
                "{message:?} is answered otherwise in a transaction"
            );
        }
        Some(copy)
    }

    /// All nodes without their generations. Whether an entry is void depends on when it was written, which differs.
    fn contents(&self) -> Vec<Content> {
        let content = |(path, node): (&String, &Node)| {
            let entries = node.entries.iter().map(|entry| entry.0).collect();
            (
                path.clone(),
                node.value.clone(),
                entries,
                node.children.clone(),
            )
        };
        self.nodes.iter().map(content).collect()
    }

    fn commit(&mut self, call: &Call, tx: &Tx) {
        // Numbers are given from the top down, and to siblings in their order.
        let place = |path: &String| {
            let above = parent(path);
            let node = above
                .as_ref()
                .and_then(|above| tx.local.get(above)?.as_ref());
            let name = path.rsplit('/').next();
            let nth = node.map(|node| {
                node.children
                    .iter()
                    .position(|other| Some(other.as_str()) == name)
            });
            (path.matches('/').count(), above, nth)
        };
        let mut modified: Vec<&String> = tx.modified.iter().collect();
        modified.sort_by_key(|path| place(path));
        for path in modified {
            let node = tx.local[path].clone().map(|mut node| {
                self.settle(&mut node);
                node.generation = self.next_generation();
                node
            });
            self.set_in_tree(path, node);
        }
        for (path, base) in &tx.base {
            let Some(exact) = tx.events.get(path) else {
                continue;
            };
            let after = self.nodes.get(path).cloned();
            if after.is_none() && base.is_none() {
                continue;
            }
            let above = parent(path).and_then(|above| {
                let removed = tx.base.iter().find(|(path, _)| *path == above);
                let before = removed.and_then(|(_, node)| node.clone());
                self.nodes.get(&above).cloned().or(before)
            });
            let witnesses: Vec<Node> = [base.clone(), after, above].into_iter().flatten().collect();
            self.fire(path, *exact, &witnesses, call.request);
        }
    }

    // Domains.

    fn about_domains(&mut self, call: &Call, kind: MessageType, payload: &[u8]) -> Answer {
        self.era += 1;
        type Kind = MessageType;
        let words: Vec<&[u8]> = strings(payload).collect();
        let number = |i: usize| -> Result<i64, Errno> {
            let word = words.get(i).ok_or(Errno::EINVAL)?;
            Ok(std::str::from_utf8(word).unwrap_or("").parse().unwrap_or(0))
        };
        let first = number(0)?;
        let domain = u16::try_from(first);
        let ring = |model: &Self, number: i64| {
            let known = u16::try_from(number).ok().filter(|number| {
                model
                    .domains
                    .get(number)
                    .is_some_and(|known| known.introduced)
            });
            known.ok_or(Errno::ENOENT)
        };
        match kind {
            Kind::GET_DOMAIN_PATH => {
                only(payload)?;
                Ok(format!("/local/domain/{}\0", first as u32).into_bytes())
            }
            Kind::IS_DOMAIN_INTRODUCED => {
                only(payload)?;
                let yes = first == 0x7ff0 || ring(self, first).is_ok();
                Ok(if yes { b"T\0" } else { b"F\0" }.to_vec())
            }
            Kind::INTRODUCE => {
                let port = number(2)?;
                let domain = domain.ok().filter(|_| port > 0).ok_or(Errno::EINVAL)?;
                self.introduce(domain)
            }
            Kind::RELEASE | Kind::RESUME => {
                only(payload)?;
                if first == 0 {
                    return Err(Errno::EINVAL);
                }
                let domain = ring(self, first)?;
                if kind == Kind::RELEASE {
                    self.destroy(domain);
                } else {
                    self.domains.get_mut(&domain).expect("known").shutdown = false;
                }
                Ok(OK.to_vec())
            }
            Kind::SET_TARGET => {
                let second = number(1)?;
                let (domain, target) = (ring(self, first)?, ring(self, second)?);
                self.domains.get_mut(&domain).expect("known").target = Some(target);
                Ok(OK.to_vec())
            }
            _ => self.control(call, &words),
        }
    }

    fn introduce(&mut self, domain: u16) -> Answer {
        let again = self
            .domains
            .get(&domain)
            .is_some_and(|known| known.introduced);
        if again {
            let peer = self.peers.get_mut(&Key::Ring(domain)).expect("a ring");
            let last_tx = peer.last_tx;
            *peer = Peer {
                last_tx,
                ..Peer::default()
            };
            return Ok(OK.to_vec());
        }
        self.know(domain);
        self.domains.get_mut(&domain).expect("known").shutdown = false;
        if !self.exists(domain) {
            return Err(Errno::EINVAL);
        }
        self.domains.get_mut(&domain).expect("known").introduced = true;
        self.peers.insert(Key::Ring(domain), Peer::default());
        self.fire_special("@introduceDomain");
        Ok(OK.to_vec())
    }

    /// Only `quota set` is ever sent.
    fn control(&mut self, _: &Call, words: &[&[u8]]) -> Answer {
        let texts: Vec<&str> = words
            .iter()
            .map(|word| std::str::from_utf8(word).unwrap_or(""))
            .collect();
        let ["quota", "set", name, value] = texts[..] else {
            return Err(Errno::EINVAL);
        };
        let limit = self.limits.get_mut(name).ok_or(Errno::EINVAL)?;
        let value: u64 = value.parse().unwrap_or(0);
        if value == 0 {
            return Err(Errno::EINVAL);
        }
        *limit = value;
        Ok(OK.to_vec())
    }
}

fn only(payload: &[u8]) -> Result<&[u8], Errno> {
    let nuls = payload.iter().filter(|&&byte| byte == 0).count();
    if nuls != 1 || payload.last() != Some(&0) {
        return Err(Errno::EINVAL);
    }
    Ok(&payload[..payload.len() - 1])
}

fn list(node: &Node) -> Vec<u8> {
    node.children
        .iter()
        .flat_map(|name| format!("{name}\0").into_bytes())
        .collect()
}
