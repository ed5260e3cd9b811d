//! Colours that stay apart for colour-blind eyes and in grey print.

use plotters::style::RGBColor;

/// Text.
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x24, 0x30);
/// Lesser text, and axes.
pub(super) const FAINT: RGBColor = RGBColor(0x5c, 0x63, 0x70);
/// Lines of a grid.
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe6, 0xeb);
/// What a task shares with its base.
pub(super) const SHARED: RGBColor = RGBColor(0xe6, 0xe7, 0xea);
/// Training, and the first method.
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// Validation, and the second method.
pub(super) const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// The third method.
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// Further methods.
pub(super) const PLUM: RGBColor = RGBColor(0x9c, 0x3f, 0x86);

/// Viridis from its dark end, in nine even steps.
const VIRIDIS: [(u8, u8, u8); 9] = [
    (0x44, 0x01, 0x54),
    (0x47, 0x2d, 0x7b),
    (0x3b, 0x52, 0x8b),
    (0x2c, 0x72, 0x8e),
    (0x21, 0x91, 0x8c),
    (0x28, 0xae, 0x80),
    (0x5e, 0xc9, 0x62),
    (0xad, 0xdc, 0x30),
    (0xfd, 0xe7, 0x25),
];

/// The colour of a share of the largest value, 0 to 1: the stronger, the darker.
pub(super) fn strength(share: f32) -> RGBColor {
    let at = (1.0 - share.clamp(0.0, 1.0)) * (VIRIDIS.len() - 1) as f32;
    let low = (at as usize).min(VIRIDIS.len() - 2);
    let (from, to, part) = (VIRIDIS[low], VIRIDIS[low + 1], at - low as f32);
    let mix = |from: u8, to: u8| (f32::from(from) + (f32::from(to) - f32::from(from)) * part).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stronger_is_darker() {
        let light = |share| {
            let RGBColor(r, g, b) = strength(share);
            0.3 * f32::from(r) + 0.59 * f32::from(g) + 0.11 * f32::from(b)
        };
        let shares: Vec<f32> = (0..=20).map(|step| light(step as f32 / 20.0)).collect();
        assert!(shares.windows(2).all(|pair| pair[0] > pair[1]), "{shares:?}");
        assert_eq!(strength(2.0), strength(1.0));
    }
}
