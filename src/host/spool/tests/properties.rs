//! Whatever happens in whatever order.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Add(usize, usize),
    AddTogether(Vec<(usize, usize)>),
    GiveUp(usize),
    Remove(usize),
    SetAside(usize),
    Retry(usize),
    Discard(usize),
    OpenAgain,
    LosePage,
}

fn step() -> impl Strategy<Value = Step> {
    let what = (0..6_usize, 0..4_usize);
    prop_oneof![
        6 => what.clone().prop_map(|(key, content)| Step::Add(key, content)),
        2 => vec(what, 0..5).prop_map(Step::AddTogether),
        1 => (0..4_usize).prop_map(Step::GiveUp),
        3 => (0..9_usize).prop_map(Step::Remove),
        2 => (0..9_usize).prop_map(Step::SetAside),
        1 => (0..5_usize).prop_map(Step::Retry),
        1 => (0..5_usize).prop_map(Step::Discard),
        1 => Just(Step::OpenAgain),
        1 => Just(Step::LosePage),
    ]
}

/// The last one does not stay in the buffer.
const SIZES: [usize; 4] = [0, 1, 4000, 200_000];

/// What should be there, in its order.
#[derive(Default)]
struct Model {
    entries: Vec<Is>,
    aside: Vec<Is>,
    next: u64,
}

/// An entry: key and size, and what the spool calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Is {
    sequence: u64,
    what: (usize, usize),
    id: EntryId,
}

impl Model {
    /// Whether it is a new entry; `id` is what the spool has called it.
    fn add(&mut self, what: (usize, usize), id: EntryId) -> bool {
        let first = self::id(what);
        let last = self
            .entries
            .iter()
            .rfind(|is| is.what.0 == what.0)
            .filter(|_| self.entries.iter().any(|is| is.id == first));
        if let Some(last) = last
            && last.what == what
        {
            assert_eq!(id, last.id);
            return false;
        }
        // Another content came in between.
        assert_eq!(id == first, last.is_none());
        assert!(self.entries.iter().all(|is| is.id != id));
        self.entries.push(Is {
            sequence: self.next,
            what,
            id,
        });
        self.next += 1;
        true
    }
}

fn id((key, size): (usize, usize)) -> EntryId {
    let digests = crate::host::s3::Digests::of(&std::vec![9; SIZES[size]]);
    EntryId::of("bucket", KEYS[key], &digests.sha256)
}

const KEYS: [&str; 6] = ["a", "b", "c/d", "e f", "ü", "\n"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_spool_is_what_it_should_be(steps in vec(step(), 0..30)) {
        let folder = memory();
        let mut spool = Spool::open(folder.path(), options()).unwrap();
        let mut news = News::new();
        let mut model = Model::default();
        // What `run` knows that it has to deliver.
        let mut held = BTreeSet::new();
        for step in steps {
            match step {
                Step::Add(key, size) => {
                    let content = std::vec![9; SIZES[size]];
                    let added = spool.add(&mut &content[..], naming(KEYS[key])).unwrap();
                    prop_assert_eq!(added.is_new, model.add((key, size), added.id));
                }
                Step::AddTogether(all) => {
                    let mut batch = spool.batch();
                    for (key, size) in &all {
                        let mut writer = spool.writer();
                        writer.append(&std::vec![9; SIZES[*size]]).unwrap();
                        batch.add(writer, naming(KEYS[*key])).unwrap();
                    }
                    let added = batch.commit().unwrap();
                    for (added, what) in added.iter().zip(all) {
                        prop_assert_eq!(added.is_new, model.add(what, added.id));
                    }
                }
                Step::GiveUp(size) => spool.writer().append(&std::vec![9; SIZES[size]]).unwrap(),
                Step::Remove(index) => {
                    if index < model.entries.len() {
                        let Is { id, .. } = model.entries.remove(index);
                        prop_assert!(spool.remove(id).unwrap());
                        held.remove(&id);
                        prop_assert!(!spool.remove(id).unwrap());
                    }
                }
                Step::SetAside(index) => {
                    if index < model.entries.len() {
                        let is = model.entries.remove(index);
                        prop_assert!(spool.set_aside(is.id, &reason()).unwrap());
                        held.remove(&is.id);
                        model.aside.retain(|there| there.id != is.id);
                        model.aside.push(is);
                    }
                }
                Step::Retry(index) => {
                    if index < model.aside.len() {
                        let is = model.aside.remove(index);
                        let selection = Selection::Ids([is.id].into());
                        prop_assert_eq!(spool.retry(&selection).unwrap(), 1);
                        if model.entries.iter().all(|there| there.id != is.id) {
                            model.entries.push(is);
                            model.entries.sort_unstable();
                        }
                    }
                }
                Step::Discard(index) => {
                    if index < model.aside.len() {
                        let is = model.aside.remove(index);
                        let selection = Selection::Ids([is.id].into());
                        prop_assert_eq!(spool.discard(&selection).unwrap(), 1);
                        prop_assert_eq!(spool.discard(&selection).unwrap(), 0);
                    }
                }
                Step::OpenAgain => {
                    spool = Spool::open(folder.path(), options()).unwrap();
                    news = News::new();
                    held.clear();
                }
                Step::LosePage => std::fs::write(folder.path().join("lock"), "").unwrap(),
            }
            let expected: Vec<_> = model.entries.iter().map(|is| is.id).collect();
            let found: Vec<_> = spool.entries().unwrap().iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(&found, &expected);
            let aside = spool.aside().unwrap();
            prop_assert_eq!(aside.len(), model.aside.len());
            let usage = spool.usage().unwrap();
            prop_assert_eq!((usage.bytes, usage.entries), count(&spool));
            prop_assert_eq!(usage.aside as usize, aside.len());
            // Nothing that is there stays unseen.
            held.extend(news.look(&spool).unwrap().iter().map(|queued| queued.id));
            prop_assert!(expected.iter().all(|id| held.contains(id)));
        }
    }
}
