//! The choice of layers whose worth is highest under limits on what they cost together.

/// Of items worth `values`, a set that `fits`: filled up by worth for `cost`, or by worth alone, whichever set is worth
/// more. `cost` is that of an item by itself.
///
/// # Errors
/// The first of `cost` and `fits`.
pub(super) fn fill<E>(
    values: &[f32],
    mut cost: impl FnMut(usize) -> Result<f64, E>,
    mut fits: impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Vec<usize>, E> {
    let items: Vec<usize> = (0..values.len()).filter(|&item| values[item] > 0.0).collect();
    let mut ratios = vec![0.0; values.len()];
    for &item in &items {
        ratios[item] = f64::from(values[item]) / cost(item)?.max(f64::MIN_POSITIVE);
    }
    let worth: Vec<f64> = values.iter().map(|&value| value.into()).collect();
    let mut best = (0.0, Vec::new());
    for by in [&ratios, &worth] {
        let mut order = items.clone();
        order.sort_by(|&a, &b| by[b].total_cmp(&by[a]).then(a.cmp(&b)));
        let mut chosen = Vec::new();
        for item in order {
            chosen.push(item);
            if !fits(&chosen)? {
                chosen.pop();
            }
        }
        let total: f64 = chosen.iter().map(|&item| worth[item]).sum();
        if total > best.0 {
            best = (total, chosen);
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[f32], costs: &[usize], limit: usize) -> Vec<usize> {
        let fits = |items: &[usize]| Ok::<_, ()>(items.iter().map(|&item| costs[item]).sum::<usize>() <= limit);
        let mut chosen = fill(values, |item| Ok(costs[item] as f64), fits).unwrap();
        chosen.sort_unstable();
        chosen
    }

    #[test]
    fn cheap_worth_comes_before_dear_worth() {
        assert_eq!(chosen(&[10.0, 6.0, 5.0], &[10, 5, 5], 10), [1, 2]);
    }

    #[test]
    fn one_dear_item_may_be_worth_more_than_the_cheapest() {
        assert_eq!(chosen(&[2.0, 10.0], &[1, 10], 10), [1]);
    }

    #[test]
    fn what_is_worth_nothing_is_left() {
        assert_eq!(chosen(&[0.0, 1.0], &[0, 1], 10), [1]);
        assert!(chosen(&[1.0], &[11], 10).is_empty());
    }
}
