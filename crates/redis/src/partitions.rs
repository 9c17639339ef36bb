//! Keys that are spread over the hash slots of a cluster, so that each primary stores some.

use std::{array, sync::LazyLock};

use fred::types::cluster::ClusterRouting;

/// Number of partitions. A primary with this share of the slots in one range has one of its own.
const PARTITIONS: u16 = 32;
/// Hash slots of each partition.
const SLOTS: u16 = 16_384 / PARTITIONS;

/// For each partition a hash tag whose slot is in it.
static TAGS: LazyLock<[u32; PARTITIONS as usize]> = LazyLock::new(|| {
    let is_in = |tag: u32, n: usize| usize::from(ClusterRouting::hash_key(tag.to_string().as_bytes()) / SLOTS) == n;
    array::from_fn(|n| (0..=u32::MAX).find(|&tag| is_in(tag, n)).unwrap_or_default())
});

fn key(prefix: &str, tag: u32) -> String {
    format!("{prefix}:{{{tag}}}")
}

/// One key for each partition, in the order of the slots.
pub(crate) fn keys(prefix: &str) -> Vec<String> {
    TAGS.iter().map(|&tag| key(prefix, tag)).collect()
}

/// The key of the first partition, from that of `slot` on, which the same primary stores; the one
/// of `slot` if there is no such partition.
pub(crate) fn beside(prefix: &str, slot: u16, slots: &ClusterRouting) -> String {
    let (before, from) = TAGS.split_at(usize::from(slot / SLOTS));
    let owner = slots.get_server(slot);
    let is_beside = |key: &String| slots.get_server(ClusterRouting::hash_key(key.as_bytes())) == owner;
    let mut keys = from.iter().chain(before).map(|&tag| key(prefix, tag));
    keys.find(is_beside).unwrap_or_else(|| key(prefix, from[0]))
}

#[cfg(test)]
mod tests {
    use fred::types::Value;

    use super::*;

    #[test]
    fn a_key_is_stored_by_the_primary_of_its_slot() {
        let range = |from: i64, to: i64, port: i64| {
            let node = vec![Value::from("host"), Value::from(port), Value::from(port.to_string())];
            Value::Array(vec![Value::from(from), Value::from(to), Value::Array(node)])
        };
        // The last primary has no partition of its own.
        let slots = Value::Array(vec![range(0, 5460, 1), range(5461, 16_000, 2), range(16_001, 16_383, 3)]);
        let slots = ClusterRouting::from_cluster_slots(slots, "host").expect("slots");
        let home = |key: &str| slots.get_server(ClusterRouting::hash_key(key.as_bytes())).expect("a primary").port;
        let homes: Vec<u16> = keys("list").iter().map(|key| home(key)).collect();
        assert!(homes.is_sorted() && homes.len() == 32, "{homes:?}");
        for slot in (0..16_001).step_by(7) {
            let port = slots.get_server(slot).expect("a primary").port;
            assert_eq!(home(&beside("list", slot, &slots)), port, "slot {slot}");
        }
        assert!(keys("list").contains(&beside("list", 16_383, &slots)));
    }
}
