use serde::{Deserialize, Serialize};

/// What a tensor of an adapter is for. The order of the variants is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Role {
    /// Added to the base tensor of the same name, which it always has.
    Delta,
    /// Stands in the place of the base tensor of the same name, or is a tensor that the base does not have.
    Replacement,
    /// Running statistics, as of a batch normalisation: used in the place of the base's, and never trained.
    Statistics,
}

impl Role {
    pub(super) fn from_code(code: u32) -> Option<Role> {
        match code {
            0 => Some(Role::Delta),
            1 => Some(Role::Replacement),
            2 => Some(Role::Statistics),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_serde_writes() {
        for code in 0..3 {
            let role = Role::from_code(code).unwrap();
            assert_eq!(postcard::to_slice(&role, &mut [0; 1]).unwrap(), &[code as u8]);
        }
        assert_eq!(Role::from_code(3), None);
    }
}
