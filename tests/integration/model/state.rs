//! What the model remembers: one run, its pipeline, its messages, and what is still under way.

/// What may happen, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub queue: Queue,
    pub glint: Shows,
    /// Pipelines can be looked up, by the function and by the sweep.
    pub read_token: bool,
    pub hooks: bool,
    pub sweep: bool,
    pub dead_letter_consumer: bool,
    pub max_receives: u8,
    /// How many lost answers, refusals, late writes, lost hooks and kills there may be.
    pub faults: u8,
    pub kills: bool,
    /// A write whose answer was lost lands within the 90 seconds after which a claim counts as old; else only within
    /// the queue's visibility timeout.
    pub lands_within_age: bool,
    /// How often somebody else may overwrite the label or the link.
    pub foreign_writes: u8,
    /// One such write may overwrite both.
    pub overwrites_both: bool,
    /// How often a dead letter may be put back by hand.
    pub redrives: u8,
    /// The run is sent a second time as a message of its own.
    pub second_message: bool,
    /// An end that Glint does not take is queued in the run's group, like a report.
    pub queues_ends: bool,
    /// What only happens after two attempts overlapped counts as a broken promise too.
    pub counts_overlaps: bool,
    /// The step of the protocol that is left out.
    pub without: Option<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queue {
    Fifo,
    Standard,
}

/// What a Glint keeps and shows of a run, besides its status and link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    Everything,
    /// Keeps `externalRunId` and can be searched by it, but no answer shows it.
    NoExternalRunId,
    /// Refuses a PATCH with `externalRunId`.
    RefusesExternalRunId,
    /// Keeps neither `externalRunId` nor label.
    OnlyLink,
}

/// A step of the protocol, which a test takes out to see the model turn red.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Claim,
    ClaimAnswered,
    TriggerOnlyOnce,
    TakenBackOnlyOnce,
    FullVisibilityAfterLostAnswer,
    AgeOfClaimBeforeAbsence,
    EveryCandidateRead,
    ProofOfPayload,
    ExternalRunIdIsMemory,
    ForeignLinkIsNotOurs,
    FinalAttemptLeavesClaim,
    DeadLetterLooksFirst,
    DeadLetterWaitsForReport,
    QueuedEndYieldsToNewerClaim,
    DeadLetterWaitsForAge,
    DeadLetterStartsNothing,
    OldClaimsSwept,
    ReadableRunBeforeTrigger,
    SearchForClaim,
    LookUpWhereSearchIsSilent,
    LostAnswerEndsRun,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Status {
    InProgress,
    Succeeded,
    NotStarted,
    NotConfirmed,
    /// Ended by the sweep, which cannot look a claim up: a run does not tell its project.
    Expired,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Label {
    Empty,
    Triggering,
    WaitingToRetry,
    WaitingToConfirm,
    Created,
    Foreign,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ExternalRunId {
    Empty,
    Claim,
    Open,
    Linked,
    /// The pipeline of another run.
    LinkedToStranger,
}

/// The registers of the run in Glint; of each, the last write wins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    pub status: Status,
    pub label: Label,
    pub our_link: bool,
    pub foreign_link: bool,
    pub external_run_id: ExternalRunId,
}

/// The body of a PATCH.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Write {
    Claim,
    TakeBack,
    WaitToConfirm,
    Link { keep_foreign: bool, stranger: bool },
    End(Status),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pipeline {
    None,
    Running,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hook {
    NotSent,
    OnItsWay,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Report {
    None,
    Waiting,
    Tried,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Age {
    Fresh,
    /// 90 seconds: a trigger that was sent before has created its pipeline, or never will.
    Old,
    Day,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum At {
    NotSent,
    Queue,
    DeadLetters,
    Done,
}

/// What a delivery attempt does next; `Idle` while the message is not being worked on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Next {
    Idle,
    ReadRun,
    /// Whether the claim, as this attempt read it, is old enough for absence to count.
    LookUp {
        is_old: bool,
    },
    Claim {
        is_repeat: bool,
    },
    Trigger,
    Link {
        is_repeat: bool,
    },
    QueueReport,
    QueueEnd(Status),
    TakeBack {
        is_repeat: bool,
    },
    WaitToConfirm,
    End(Status),
    Answer,
}

/// A message with the run, and the attempt that works on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    pub at: At,
    pub receives: u8,
    /// It stays hidden for the queue's own visibility timeout, which is longer than anything is under way.
    pub hidden_in_full: bool,
    pub next: Next,
    /// An answer of Glint was lost in this attempt.
    pub answer_lost: bool,
    /// This attempt saw a link of somebody else, and keeps it.
    pub keep_foreign: bool,
    /// The pipeline that this attempt found belongs to another run.
    pub stranger: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub run: Run,
    /// Since the last write to the run, which is what Glint shows.
    pub age: Age,
    /// Writes whose answers were lost and that have not landed yet.
    pub late: [Option<Write>; 2],
    /// GitLab has the request, nobody will hear its answer, and nothing is created yet.
    pub trigger_under_way: bool,
    /// A claim landed late, when the pipeline was there.
    pub claimed_late: bool,
    pub pipelines: u8,
    pub pipeline: Pipeline,
    pub hook: Hook,
    pub report: Report,
    pub queued_end: Option<Status>,
    /// The run was claimed after that end was queued.
    pub claimed_since: bool,
    pub messages: [Message; 2],
    pub faults: u8,
    pub foreign_writes: u8,
    pub redrives: u8,
    /// A claim landed after another attempt had looked at the run and before that attempt's write did: the known window.
    pub overlapped: bool,
    /// A report was not waited for.
    pub ended_before_report: bool,
}

impl State {
    pub fn initial(setup: &Setup) -> Self {
        let message = Message {
            at: At::Queue,
            receives: 0,
            hidden_in_full: false,
            next: Next::Idle,
            answer_lost: false,
            keep_foreign: false,
            stranger: false,
        };
        Self {
            run: Run {
                status: Status::InProgress,
                label: Label::Empty,
                our_link: false,
                foreign_link: false,
                external_run_id: ExternalRunId::Empty,
            },
            age: Age::Fresh,
            late: [None; 2],
            trigger_under_way: false,
            claimed_late: false,
            pipelines: 0,
            pipeline: Pipeline::None,
            hook: Hook::NotSent,
            report: Report::None,
            queued_end: None,
            claimed_since: false,
            messages: [message, Message { at: At::NotSent, ..message }],
            faults: setup.faults,
            foreign_writes: setup.foreign_writes,
            redrives: setup.redrives,
            overlapped: false,
            ended_before_report: false,
        }
    }

    pub fn has_late_writes(&self) -> bool {
        self.late.iter().any(Option::is_some)
    }
}
