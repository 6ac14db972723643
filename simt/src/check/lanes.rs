//! Something of each lane of a warp, which most of the time is the same for all.

/// One value for all lanes, or one for each.
#[derive(Debug, Clone)]
pub enum PerLane<T> {
    All(T),
    Each(Box<[T; 32]>),
}

impl<T: Clone> PerLane<T> {
    #[inline(always)]
    pub fn get(&self, lane: usize) -> &T {
        match self {
            PerLane::All(value) => value,
            PerLane::Each(values) => &values[lane],
        }
    }

    /// Gives the lanes a value; `living` are those that anybody will ask for again.
    pub fn set(&mut self, lanes: u32, living: u32, value: T) {
        if lanes & living == living {
            *self = PerLane::All(value);
            return;
        }
        if let PerLane::All(all) = self {
            *self = PerLane::Each(Box::new(std::array::from_fn(|_| all.clone())));
        }
        if let PerLane::Each(values) = self {
            for (lane, slot) in values.iter_mut().enumerate() {
                if lanes >> lane & 1 != 0 {
                    *slot = value.clone();
                }
            }
        }
    }

    /// The values of some lanes with the lanes that have them; equal ones may come more than once.
    pub fn groups(&self, lanes: u32) -> impl Iterator<Item = (u32, &T)> {
        let (one, each) = match self {
            PerLane::All(value) => (Some((lanes, value)), None),
            PerLane::Each(values) => (None, Some(values)),
        };
        let single = move |(lane, value)| {
            let bit = 1u32 << lane;
            (lanes & bit != 0).then_some((bit, value))
        };
        one.into_iter().chain(
            each.into_iter()
                .flat_map(|v| v.iter().enumerate())
                .filter_map(single),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_part_and_meet() {
        let mut values = PerLane::All(1);
        values.set(0b1010, !0, 2);
        assert_eq!([0, 1, 2, 3].map(|lane| *values.get(lane)), [1, 2, 1, 2]);
        assert_eq!(values.groups(0b11).collect::<Vec<_>>(), [(1, &1), (2, &2)]);
        values.set(0xff, 0xff, 3);
        assert!(matches!(values, PerLane::All(3)));
        assert_eq!(values.groups(0b11).collect::<Vec<_>>(), [(3, &3)]);
    }
}
