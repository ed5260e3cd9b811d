//! An adapter's deltas scaled by depth (LiNeS, arXiv 2410.17146).

use super::Error;
use super::made::{Made, remade};
use crate::base::Base;
use crate::format::{Adapter, Encoding, Entry, Role};
use crate::runtime::{Layout, Network, Task};

/// Scales the deltas of block ℓ of the L blocks of the network by α + β (ℓ − 1) / (L − 1), and those outside of blocks by α.
/// A head and statistics stay.
///
/// # Errors
/// If the adapter does not belong to the base, or α or β is not finite.
pub fn scale(
    base: &Base,
    network: &impl Network,
    adapter: &Adapter<'_>,
    alpha: f32,
    beta: f32,
) -> Result<Vec<u8>, Error> {
    for (name, value) in [("alpha", alpha), ("beta", beta)] {
        if !value.is_finite() {
            return Err(Error::Setting { name, found: value.to_string(), expected: "a number" });
        }
    }
    Task::build(network, adapter, adapter.task())?;
    let (blocks, mut tensors) = (blocks(network.layout()), Vec::new());
    for entry in adapter.entries() {
        let factor = match (entry.role, block(entry.name)) {
            (Role::Delta, Some(of)) => match blocks.iter().position(|&block| block == of) {
                Some(number) => alpha + beta * number as f32 / blocks.len().saturating_sub(1).max(1) as f32,
                None => alpha,
            },
            (Role::Delta, None) => alpha,
            _ => 1.0,
        };
        tensors.push(scaled(&entry, factor)?);
    }
    remade(base, network, adapter, tensors)
}

/// An entry times a factor, in its encoding.
fn scaled(entry: &Entry<'_>, factor: f32) -> Result<Made, Error> {
    let mut values = vec![0.0; entry.elements()];
    entry.decode_into(&mut values)?;
    let (mut encoding, mut numbers) = (entry.encoding, values);
    if let Encoding::LowRank { rank, .. } = encoding {
        numbers = entry.factors()?.collect();
        let left = entry.shape.dims().first().map_or(0, |&rows| rows as usize) * rank as usize;
        numbers.iter_mut().take(left).for_each(|number| *number *= factor);
    } else {
        numbers.iter_mut().for_each(|number| *number *= factor);
    }
    if let Encoding::Sparse { count, .. } = encoding {
        encoding = Encoding::sparse(&numbers, count);
    }
    let (name, role, shape, digest) = (entry.name.to_owned(), entry.role, entry.shape.clone(), entry.base);
    Ok(Made { name, role, encoding, shape, digest, numbers })
}

/// The blocks of a network, in order.
fn blocks(layout: &Layout) -> Vec<&str> {
    let mut blocks = Vec::new();
    for (_, layer) in layout.layers() {
        match block(&layer.weight.name) {
            Some(block) if !blocks.contains(&block) => blocks.push(block),
            _ => {}
        }
    }
    blocks
}

/// The block of a tensor: its name up to the first part that is a number.
fn block(name: &str) -> Option<&str> {
    let mut end = 0;
    for part in name.split('.') {
        end += part.len();
        if part.parse::<u32>().is_ok() {
            return Some(&name[..end]);
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_with_its_number() {
        let found = ["encoder.layer.11.output.dense.weight", "layer1.0.conv1.weight", "embeddings.word.weight"];
        assert_eq!(found.map(block), [Some("encoder.layer.11"), Some("layer1.0"), None]);
    }
}
