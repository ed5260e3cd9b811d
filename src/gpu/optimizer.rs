//! Updates of all deltas of a task in one launch.

use candle_core::{Result, Tensor};

use super::launch::{Launch, Settings, Source, Threads, check};

pub(super) static SOURCE: Source = Source::new("optimizer", include_str!("optimizer.metal"));

/// Elements of a block, of which all are of one delta.
pub(crate) const BLOCK: usize = 256;

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "train"), allow(dead_code))]
pub enum Rule {
    /// AdamW (Loshchilov & Hutter 2019).
    AdamW {
        /// Decays of the means of gradients and of their squares.
        betas: [f32; 2],
        /// Added to the root of the second mean.
        eps: f32,
        /// Number of the step, from 1.
        step: u32,
    },
    /// Gradient descent with this share of the velocity kept.
    Momentum(f32),
}

/// Updates `states`, deltas and below them one or two means of each element, from the `gradient` of all deltas times `scale`;
/// all of f32. `paces [blocks, 2]` is for each block the share of `rate` that it has, and its decay.
pub(crate) fn update(
    states: &Tensor,
    gradient: &Tensor,
    paces: &Tensor,
    rule: Rule,
    [rate, scale]: [f32; 2],
) -> Result<()> {
    let count = gradient.elem_count();
    let rows = if matches!(rule, Rule::AdamW { .. }) { 3 } else { 2 };
    check("update", [(states, rows * count), (paces, 2 * count.div_ceil(BLOCK))])?;
    let (name, numbers) = match rule {
        Rule::AdamW { betas: [first, second], eps, step } => {
            let power = |beta: f32| 1.0 - f64::from(beta).powi(step as i32);
            ("adamw", [rate, scale, first, second, eps, power(first) as f32, power(second).sqrt() as f32])
        }
        Rule::Momentum(share) => ("momentum", [rate, scale, share, 0.0, 0.0, 0.0, 0.0]),
    };
    let host = |values: &[Vec<f32>]| {
        let [gradient, paces, states] = values else { return Vec::new() };
        let mut out = states.clone();
        for (i, g) in gradient.iter().enumerate() {
            let (rate, decay, g) = (rate * paces[2 * (i / BLOCK)], paces[2 * (i / BLOCK) + 1], scale * g);
            match rule {
                Rule::AdamW { betas: [first, second], eps, .. } => {
                    let [first_power, root] = [numbers[5], numbers[6]];
                    out[count + i] = first * states[count + i] + (1.0 - first) * g;
                    out[2 * count + i] = second * states[2 * count + i] + (1.0 - second) * g * g;
                    let step = out[count + i] / (out[2 * count + i].sqrt() / root + eps);
                    out[i] = states[i] * (1.0 - rate * decay) - rate / first_power * step;
                }
                Rule::Momentum(share) => {
                    out[count + i] = share * states[count + i] + (g + decay * states[i]);
                    out[i] = states[i] - rate * out[count + i];
                }
            }
        }
        out
    };
    let settings = Settings::new([count, BLOCK], numbers)?;
    Launch { source: &SOURCE, name, number: None, threads: Threads::of_elements(count), settings, host: &host }
        .update([gradient, paces], states)
}
