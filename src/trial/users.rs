//! Which users a user namespace has, and who they are outside (user_namespaces(7)).
//!
//! Nobody inside is root outside. If root runs sazare, the users inside are a range of numbers that no machine gives to
//! its own users: a file or process that gets out of the namespace belongs to nobody who matters. If the machine's own
//! numbers are few (a container without root), there is one user inside, and outside that is `nobody`. Anyone else has
//! one user inside: the caller.

use std::fs;

use nix::unistd::{Gid, Uid};

/// The range that systemd's documentation (users, groups, UIDs and GIDs) leaves unused: 0x70000000 to 0x7fffffff.
const FIRST: u32 = 0x7000_0000;
/// How many numbers it has.
const COUNT: u32 = 0x1000_0000;

/// The fewest numbers that are worth a range: those up to `nobody`.
const FEWEST: u32 = 1 << 16;

/// The user and the group of nobody.
const NOBODY: u32 = 65534;

/// The users and groups of a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Users {
    /// The users.
    pub uids: Numbers,
    /// The groups.
    pub gids: Numbers,
    /// Whether groups may be chosen inside: only root may say so.
    pub superuser: bool,
}

/// Numbers inside, and what they are outside: one line of `uid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The first number inside.
    pub inside: u32,
    /// What it is outside.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

impl Users {
    /// The users for a command that runs as `uid` and `gid`.
    pub fn choose(uid: u32, gid: u32) -> Users {
        if !Uid::effective().is_root() {
            let one = |inside, outside| Numbers { inside, outside, count: 1 };
            return Users {
                uids: one(uid, Uid::effective().as_raw()),
                gids: one(gid, Gid::effective().as_raw()),
                superuser: false,
            };
        }
        let map = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        Users {
            uids: Numbers::of_root(&map("uid_map"), uid),
            gids: Numbers::of_root(&map("gid_map"), gid),
            superuser: true,
        }
    }
}

impl Numbers {
    /// What root may use: `map` is its own `uid_map`.
    fn of_root(map: &str, inside: u32) -> Numbers {
        let lines = map.lines().filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u64>);
            let (Some(Ok(first)), _, Some(Ok(count))) = (numbers.next(), numbers.next(), numbers.next()) else {
                return None;
            };
            Some((first, first + count))
        });
        // Enough above the numbers that the machine's own users have.
        let last =
            lines.clone().filter(|(first, end)| end - first >= u64::from(2 * FEWEST)).max_by_key(|(_, end)| *end);
        match last {
            Some((first, end)) if first <= u64::from(FIRST) && end >= u64::from(FIRST) + u64::from(COUNT) => {
                Numbers { inside: 0, outside: FIRST, count: COUNT }
            }
            Some((_, end)) => {
                Numbers { inside: 0, outside: u32::try_from(end - u64::from(FEWEST)).unwrap_or(FIRST), count: FEWEST }
            }
            None => Numbers { inside, outside: NOBODY, count: 1 },
        }
    }

    /// Whether a number exists inside.
    pub fn has(self, number: u32) -> bool {
        number.checked_sub(self.inside).is_some_and(|at| at < self.count)
    }

    /// What a number of the tree is outside. One that does not exist inside is `nobody`, or the only one.
    pub fn outside(self, number: u32) -> u32 {
        let number = [number, NOBODY].into_iter().find(|number| self.has(*number)).unwrap_or(self.inside);
        self.outside + (number - self.inside)
    }

    /// The line of `uid_map`.
    pub fn line(self) -> String {
        format!("{} {} {}\n", self.inside, self.outside, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_inside_is_never_root_outside() {
        let usual = Numbers::of_root("         0          0 4294967295\n", 0);
        assert_eq!(usual, Numbers { inside: 0, outside: 0x7000_0000, count: 0x1000_0000 });
        assert_eq!((usual.outside(0), usual.outside(1000)), (0x7000_0000, 0x7000_03e8));
        assert_eq!(usual.outside(u32::MAX - 1), 0x7000_fffe);
        // A container with its own range, and one of a user who is not root.
        assert_eq!(Numbers::of_root("0 100000 200000\n", 0), Numbers { inside: 0, outside: 134_464, count: 65536 });
        let few = Numbers::of_root("0 1000 1\n1 100000 65536\n", 7);
        assert_eq!(
            (few, few.outside(0), few.outside(7)),
            (Numbers { inside: 7, outside: 65534, count: 1 }, 65534, 65534)
        );
        assert!(few.has(7) && !few.has(0) && !few.has(8));
        for map in ["", "x y z\n", "0 0\n", "0 0 4294967295\n", "0 1000 65536\n", "0 0 131072\n"] {
            for inside in [0, 1000] {
                let numbers = Numbers::of_root(map, inside);
                assert!((0..2000).all(|number| numbers.outside(number) != 0), "{map:?} {numbers:?}");
            }
        }
    }
}
