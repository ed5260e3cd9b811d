//! The learning rate over a run: linear warm-up, then half a cosine down to zero.

/// Factor on the learning rate at `step` (from 0) of `total`, of which the share `warmup` rises.
pub(super) fn cosine(step: usize, total: usize, warmup: f32) -> f32 {
    let rising = (total as f32 * warmup).round() as usize;
    if step < rising {
        return (step + 1) as f32 / rising as f32;
    }
    let progress = (step - rising) as f32 / (total - rising).max(1) as f32;
    0.5 * (1.0 + (std::f32::consts::PI * progress.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::cosine;

    #[test]
    fn rises_then_falls() {
        let factors: Vec<f32> = (0..100).map(|step| cosine(step, 100, 0.1)).collect();
        assert!(factors[..10].is_sorted() && factors[9] == 1.0);
        assert!(factors[10..].is_sorted_by(|a, b| a >= b) && factors[99] < 0.01);
        assert_eq!(cosine(0, 10, 0.0), 1.0);
    }
}
