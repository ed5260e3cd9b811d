//! Which tensor is stored how: the choice with the least divergence that fits, by dynamic programming.

use super::coded::{Coded, take};
use super::encode::encode;
use super::kind::{Kind, Rank};
use super::measure::Measure;
use super::opened::{Opened, Piece};
use crate::convert::Error;
use crate::format::{Adapter, Role};
use crate::runtime::Network;

/// Sizes that are told apart in a search.
const BUCKETS: usize = 4096;

/// Tensors that are stored alike: one matrix, or all vectors.
pub(in crate::convert) struct Unit {
    pieces: Vec<usize>,
    choices: Vec<Choice>,
}

impl Unit {
    /// What is kept, in so many bytes, or else costs so much.
    pub(in crate::convert) fn kept_or_not(room: usize, cost: f64) -> Self {
        let choice = |room, cost| Choice { kind: Kind::F32, room, cost };
        Self { pieces: Vec::new(), choices: vec![choice(room, 0.0), choice(0, cost)] }
    }
}

/// One way to store the tensors of a unit.
struct Choice {
    kind: Kind,
    /// Bytes of the payloads with their padding.
    room: usize,
    /// Divergence with this unit stored so and all else as it was.
    cost: f64,
}

/// The choice with the least divergence in a file of at most `limit` bytes.
pub(super) fn within<N: Network>(
    opened: &mut Opened<'_, N>,
    adapter: &Adapter<'_>,
    measure: &Measure<'_>,
    limit: usize,
) -> Result<Vec<Coded>, Error> {
    let units = units(opened, measure)?;
    let least = cheapest(&units);
    let smallest = gathered(&units, &least, opened)?;
    let smallest_file = encode(adapter, opened, &smallest)?.len();
    let overhead = smallest_file - room(&units, &least);
    if smallest_file > limit {
        return Err(Error::Limit { asked: limit, least: smallest_file, what: "every tensor in its smallest encoding" });
    }
    let exact = vec![0; units.len()];
    let mut left = limit - overhead;
    loop {
        let chosen = match room(&units, &exact) <= left {
            true => exact.clone(),
            false => best(&units, left).unwrap_or_else(|| least.clone()),
        };
        let coded = gathered(&units, &chosen, opened)?;
        // Longer payloads have longer entries in the manifest.
        let over = encode(adapter, opened, &coded)?.len().saturating_sub(limit);
        if over == 0 || chosen == least {
            return Ok(coded);
        }
        left = left.saturating_sub(over);
    }
}

/// The fewest bytes with which the loss is at most `limit` higher, as far as a search by bisection finds them.
pub(super) fn at_loss<N: Network>(
    opened: &mut Opened<'_, N>,
    measure: &Measure<'_>,
    limit: f32,
) -> Result<Vec<Coded>, Error> {
    const HALVINGS: usize = 8;
    let allowed = measure.score(opened)?.loss + limit;
    let units = units(opened, measure)?;
    let exact: Vec<Vec<f32>> = opened.pieces.iter().map(|piece| piece.values.clone()).collect();
    let holds = |chosen: &[usize], opened: &mut Opened<'_, N>| {
        let coded = gathered(&units, chosen, opened)?;
        take(opened, &coded);
        let score = measure.score(opened);
        opened.pieces.iter_mut().zip(&exact).for_each(|(piece, exact)| piece.values.clone_from(exact));
        score.map(|score| score.loss <= allowed)
    };
    // With the first choice of each unit nothing is lost.
    let mut kept = vec![0; units.len()];
    let (mut low, mut high) = (room(&units, &cheapest(&units)), room(&units, &kept));
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2;
        let Some(chosen) = best(&units, middle) else { break };
        match holds(&chosen, opened)? {
            true => (kept, high) = (chosen, middle),
            false => low = middle,
        }
    }
    gathered(&units, &kept, opened)
}

/// Every unit with every way to store it, the exact one first, and what that costs.
fn units<N: Network>(opened: &mut Opened<'_, N>, measure: &Measure<'_>) -> Result<Vec<Unit>, Error> {
    let is_matrix = |piece: &Piece| piece.shape.dims().len() > 1;
    let (matrices, vectors): (Vec<usize>, Vec<usize>) =
        (0..opened.pieces.len()).partition(|&number| is_matrix(&opened.pieces[number]));
    let mut units = Vec::new();
    for pieces in matrices.into_iter().map(|number| vec![number]).chain([vectors]).filter(|unit| !unit.is_empty()) {
        let kinds = kinds(&opened.pieces[pieces[0]]);
        let mut choices = Vec::new();
        for kind in kinds {
            let coded: Result<Vec<Coded>, Error> =
                pieces.iter().map(|&number| Coded::new(&opened.pieces[number], kind)).collect();
            // A value may be too large for an encoding.
            let Ok(coded) = coded else { continue };
            let shapes = pieces.iter().map(|&number| &opened.pieces[number].shape);
            let room = coded.iter().zip(shapes).map(|(coded, shape)| coded.room(shape)).sum();
            let cost = if kind == Kind::F32 { 0.0 } else { cost(opened, measure, &pieces, &coded)? };
            choices.push(Choice { kind, room, cost });
        }
        units.push(Unit { pieces, choices });
    }
    Ok(units)
}

/// Ways to store a tensor, exact first.
fn kinds(piece: &Piece) -> Vec<Kind> {
    if piece.shape.dims().len() < 2 {
        return vec![Kind::F32, Kind::F16, Kind::INT4];
    }
    let mut kinds = vec![Kind::F32, Kind::F16, Kind::Int8, Kind::INT4];
    if piece.role == Role::Delta {
        // Down to none at all.
        kinds.push(Kind::OneBit);
        kinds.extend([32, 16, 8, 4, 2].map(|rank| Kind::LowRank { rank: Rank::Of(rank), half: true }));
        kinds.extend([0.05, 0.02, 0.0].map(Kind::Sparse));
    }
    kinds
}

fn cost<N: Network>(
    opened: &mut Opened<'_, N>,
    measure: &Measure<'_>,
    pieces: &[usize],
    coded: &[Coded],
) -> Result<f64, Error> {
    match (pieces, coded) {
        ([number], [coded]) => opened.with(*number, &mut coded.values.clone(), |opened| measure.about(opened)),
        ([number, pieces @ ..], [first, coded @ ..]) => {
            let mut values = first.values.clone();
            std::mem::swap(&mut opened.pieces[*number].values, &mut values);
            let found = cost(opened, measure, pieces, coded);
            std::mem::swap(&mut opened.pieces[*number].values, &mut values);
            found
        }
        _ => Ok(0.0),
    }
}

/// For each unit the choice with the fewest bytes.
fn cheapest(units: &[Unit]) -> Vec<usize> {
    let least = |unit: &Unit| (0..unit.choices.len()).min_by_key(|&at| unit.choices[at].room).unwrap_or(0);
    units.iter().map(least).collect()
}

fn room(units: &[Unit], chosen: &[usize]) -> usize {
    units.iter().zip(chosen).map(|(unit, &at)| unit.choices[at].room).sum()
}

/// The choice with the least sum of costs that takes at most `limit` bytes.
pub(in crate::convert) fn best(units: &[Unit], limit: usize) -> Option<Vec<usize>> {
    let grain = limit.div_ceil(BUCKETS).max(1);
    let size = limit / grain;
    // The least cost of the units so far within each size, and which choice of the last one that takes.
    let mut costs = vec![0.0; size + 1];
    let mut steps = Vec::with_capacity(units.len());
    for unit in units {
        let mut next = vec![(f64::INFINITY, 0); size + 1];
        for (at, choice) in unit.choices.iter().enumerate() {
            let takes = choice.room.div_ceil(grain);
            for room in takes..=size {
                let cost = costs[room - takes] + choice.cost;
                if cost < next[room].0 {
                    next[room] = (cost, at);
                }
            }
        }
        costs = next.iter().map(|(cost, _)| *cost).collect();
        steps.push(next.into_iter().map(|(_, at)| at).collect::<Vec<usize>>());
    }
    if !costs[size].is_finite() {
        return None;
    }
    let mut left = size;
    let mut chosen = vec![0; units.len()];
    for (number, unit) in units.iter().enumerate().rev() {
        chosen[number] = steps[number][left];
        left -= unit.choices[chosen[number]].room.div_ceil(grain);
    }
    Some(chosen)
}

/// The pieces coded as is chosen.
fn gathered<N>(units: &[Unit], chosen: &[usize], opened: &Opened<'_, N>) -> Result<Vec<Coded>, Error> {
    let mut kinds = vec![Kind::F32; opened.pieces.len()];
    for (unit, &at) in units.iter().zip(chosen) {
        unit.pieces.iter().for_each(|&number| kinds[number] = unit.choices[at].kind);
    }
    opened.pieces.iter().zip(kinds).map(|(piece, kind)| Coded::new(piece, kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(choices: &[(usize, f64)]) -> Unit {
        let choice = |&(room, cost): &(usize, f64)| Choice { kind: Kind::F32, room, cost };
        Unit { pieces: Vec::new(), choices: choices.iter().map(choice).collect() }
    }

    #[test]
    fn the_best_choice_is_that_of_all() {
        let units = [
            unit(&[(640, 0.0), (320, 0.1), (64, 5.0)]),
            unit(&[(1280, 0.0), (640, 0.05), (128, 0.7)]),
            unit(&[(64, 0.0), (64, 1.0)]),
        ];
        for limit in (256..2100).step_by(64) {
            let mut least = f64::INFINITY;
            for (a, b) in (0..9).map(|at| (at / 3, at % 3)) {
                let chosen = [a, b, 0];
                let cost: f64 = units.iter().zip(chosen).map(|(unit, at)| unit.choices[at].cost).sum();
                if room(&units, &chosen) <= limit {
                    least = least.min(cost);
                }
            }
            let chosen = best(&units, limit).unwrap();
            let cost: f64 = units.iter().zip(&chosen).map(|(unit, &at)| unit.choices[at].cost).sum();
            assert!(room(&units, &chosen) <= limit && cost == least, "{limit}: {chosen:?}");
        }
        assert_eq!(best(&units, 255), None);
        assert_eq!(cheapest(&units), [2, 2, 0]);
    }
}
