//! A breadth-first search through every state that a model can reach.
//!
//! `stateright` would do the same, but its web server cannot be left out of the tree, and it cannot say that an end stays within reach.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{Debug, Display};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What can happen, and what must hold.
pub trait Model {
    type State: Copy + Eq + Hash + Debug;
    type Action: Copy + Display;

    fn initial(&self) -> Self::State;
    /// Adds everything that can happen next.
    fn successors(&self, state: &Self::State, next: &mut Vec<(Self::Action, Self::State)>);
    /// Names the promise that this state breaks.
    fn broken_promise(&self, state: &Self::State) -> Option<&'static str>;
    /// Whether the action needs no fault and nobody else's help: only such actions may be counted on to reach an end.
    fn is_expected(&self, action: &Self::Action) -> bool;
    /// Whether nothing is owed any more.
    fn is_end(&self, state: &Self::State) -> bool;
}

/// A broken promise with the shortest sequence of actions that leads to it.
#[derive(Debug)]
pub struct Counterexample {
    pub promise: &'static str,
    pub actions: Vec<String>,
    pub state: String,
}

impl Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "broken promise: {}", self.promise)?;
        for (number, action) in self.actions.iter().enumerate() {
            writeln!(f, "  {}. {action}", number + 1)?;
        }
        write!(f, "  state: {}", self.state)
    }
}

/// Searches every reachable state and returns how many there are, or the first broken promise.
///
/// # Panics
///
/// With more than `max_states` states: a search that was cut short proves nothing.
pub fn check<M: Model>(model: &M, max_states: usize) -> Result<usize, Counterexample> {
    let mut search = Search::new(model.initial());
    let mut expected = Vec::new();
    let mut next = Vec::new();
    let mut at = 0;
    while at < search.found.len() {
        let state = search.found[at].state;
        if let Some(promise) = model.broken_promise(&state) {
            return Err(search.counterexample(at, promise));
        }
        next.clear();
        model.successors(&state, &mut next);
        for (action, state) in next.drain(..) {
            let to = search.visit(state, at, action);
            if model.is_expected(&action) && to != at {
                expected.push((index(to), index(at)));
            }
        }
        at += 1;
        assert!(at <= max_states, "more than {max_states} states\n  hint: shrink the set-up, or raise the limit");
    }
    search.without_end(model, expected).map_or(Ok(at), |lost| Err(search.counterexample(lost, "never lost")))
}

struct Found<S, A> {
    state: S,
    before: Option<(u32, A)>,
}

struct Search<S, A> {
    found: Vec<Found<S, A>>,
    numbers: HashMap<S, u32, BuildHasherDefault<WordHasher>>,
}

impl<S: Copy + Eq + Hash + Debug, A: Copy + Display> Search<S, A> {
    fn new(initial: S) -> Self {
        let mut numbers = HashMap::default();
        numbers.insert(initial, 0);
        Self { found: vec![Found { state: initial, before: None }], numbers }
    }

    fn visit(&mut self, state: S, from: usize, action: A) -> usize {
        match self.numbers.entry(state) {
            Entry::Occupied(known) => *known.get() as usize,
            Entry::Vacant(new) => {
                let number = self.found.len();
                new.insert(index(number));
                self.found.push(Found { state, before: Some((index(from), action)) });
                number
            }
        }
    }

    /// The first state from which no sequence of expected actions leads to an end.
    fn without_end<M: Model<State = S>>(&self, model: &M, mut expected: Vec<(u32, u32)>) -> Option<usize> {
        expected.sort_unstable();
        let mut reaches = vec![false; self.found.len()];
        let mut open: Vec<usize> = (0..self.found.len()).filter(|at| model.is_end(&self.found[*at].state)).collect();
        open.iter().for_each(|at| reaches[*at] = true);
        while let Some(at) = open.pop() {
            let first = expected.partition_point(|(to, _)| (*to as usize) < at);
            for (_, from) in expected[first..].iter().take_while(|(to, _)| *to as usize == at) {
                if !std::mem::replace(&mut reaches[*from as usize], true) {
                    open.push(*from as usize);
                }
            }
        }
        reaches.iter().position(|reaches| !reaches)
    }

    fn counterexample(&self, mut at: usize, promise: &'static str) -> Counterexample {
        let state = format!("{:?}", self.found[at].state);
        let mut actions = Vec::new();
        while let Some((from, action)) = &self.found[at].before {
            actions.push(action.to_string());
            at = *from as usize;
        }
        actions.reverse();
        Counterexample { promise, actions, state }
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 states")
}

/// Hashes the few words of a state: an unoptimised build spends most of its time here.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(u64::from_ne_bytes(word.to_ne_bytes()));
    }
}
