use super::*;

fn create(payment_method: &str) -> GatewayOperation {
    let (currency, payment_method) = ("eur".to_owned(), payment_method.to_owned());
    GatewayOperation::Create { amount: 100, currency, payment_method, payment: Some("p".to_owned()) }
}

fn refund(intent: &str, amount: Option<u64>) -> GatewayOperation {
    GatewayOperation::Refund { intent: intent.to_owned(), amount, payment: None, request: None }
}

fn done(outcome: CreationOutcome) -> Intent {
    match outcome {
        CreationOutcome::Done(intent) => intent,
        other => panic!("not done: {other:?}"),
    }
}

#[test]
fn a_key_repeats_its_response_and_is_rejected_for_another_call() {
    let (mut processor, now) = (Processor::default(), Instant::now());
    let first = done(processor.perform("k", create("tok_visa"), now).0);
    assert_eq!(done(processor.perform("k", create("tok_visa"), now).0), first);
    assert_eq!(processor.perform("k", create("tok_declined"), now).0, CreationOutcome::KeyReused);
    assert_eq!(processor.perform("k", GatewayOperation::Capture(first.id), now).0, CreationOutcome::KeyReused);
}

#[test]
fn money_moves_once_and_only_forwards() {
    let (mut processor, now) = (Processor::default(), Instant::now());
    let id = done(processor.perform("1", create("tok_visa"), now).0).id;
    let status = |processor: &mut Processor, key: &str, operation: GatewayOperation| match processor
        .perform(key, operation, now)
    {
        (CreationOutcome::Done(intent), _) => (true, intent.status),
        (CreationOutcome::NotNow(intent), _) => (false, intent.status),
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&mut processor, "2", refund(&id, None)), (false, IntentState::RequiresCapture));
    assert_eq!(status(&mut processor, "3", GatewayOperation::Capture(id.clone())), (true, IntentState::Succeeded));
    assert_eq!(status(&mut processor, "3", GatewayOperation::Capture(id.clone())), (true, IntentState::Succeeded));
    assert_eq!(status(&mut processor, "4", GatewayOperation::Capture(id.clone())), (false, IntentState::Succeeded));
    assert_eq!(status(&mut processor, "5", GatewayOperation::Cancel(id.clone())), (false, IntentState::Succeeded));
    assert_eq!(status(&mut processor, "6", refund(&id, Some(30))), (true, IntentState::Succeeded));
    assert_eq!(processor.perform("7", refund(&id, Some(71)), now).0, CreationOutcome::TooMuch);
    let all = done(processor.perform("8", refund(&id, None), now).0);
    assert!(all.is_refunded() && all.refunded == 100, "{all:?}");
    assert!(matches!(processor.perform("9", refund(&id, None), now).0, CreationOutcome::NotNow(_)));
    let amounts: Vec<u64> = processor.refunds(&id, now).iter().map(|refund| refund.amount).collect();
    assert_eq!(amounts, [70, 30]);
    assert_eq!(processor.search("p").len(), 1);
}

#[test]
fn a_dispute_ends_once_and_a_small_amount_is_rejected() {
    let (mut processor, now) = (Processor::default(), Instant::now());
    let id = done(processor.perform("1", create("tok_createDispute"), now).0).id;
    let disputed =
        done(processor.perform("2", GatewayOperation::Capture(id.clone()), now).0).dispute.expect("a dispute");
    assert_eq!(disputed.status, Disputed::NeedsResponse);
    let won = processor.end_dispute(&disputed.id, Disputed::Won).and_then(|intent| intent.dispute);
    assert_eq!(won.map(|dispute| dispute.status), Some(Disputed::Won));
    assert_eq!(processor.end_dispute(&disputed.id, Disputed::Lost), None);
    let (currency, payment_method) = ("eur".to_owned(), "tok_visa".to_owned());
    let small = GatewayOperation::Create { amount: 49, currency, payment_method, payment: None };
    assert_eq!(processor.perform("3", small, now).0, CreationOutcome::TooSmall);
}

#[test]
fn every_payment_method_has_its_fault() {
    let (mut processor, now) = (Processor::default(), Instant::now());
    let mut call = |key: &str, method: &str| processor.perform(key, create(method), now);
    assert_eq!(done(call("1", "tok_declined").0).status, IntentState::Declined);
    assert_eq!(call("2", "tok_slow").1, ResultDelivery::Late);
    assert_eq!(call("2", "tok_slow").1, ResultDelivery::Now);
    assert_eq!(call("3", "tok_timeout").1, ResultDelivery::Never);
    assert_eq!(call("3", "tok_timeout").1, ResultDelivery::Now);
    assert_eq!(call("4", "tok_flaky").0, CreationOutcome::Hiccup);
    assert_eq!(done(call("4", "tok_flaky").0).status, IntentState::RequiresCapture);
    assert_eq!(call("flaky", "tok_flaky_late"), (CreationOutcome::Hiccup, ResultDelivery::Late));
    assert_eq!(done(call("flaky", "tok_flaky_late").0).status, IntentState::RequiresCapture);
    assert_eq!(call("5", "4242424242424242").0, CreationOutcome::UnknownMethod);
    assert_eq!(
        (call("8", "tok_broken").0, call("8", "tok_broken").0),
        (CreationOutcome::Broken, CreationOutcome::Broken)
    );

    let intent = done(call("6", "tok_action").0);
    assert_eq!(intent.status, IntentState::RequiresAction);
    assert!(matches!(
        processor.perform("7", GatewayOperation::Capture(intent.id.clone()), now).0,
        CreationOutcome::NotNow(_)
    ));
    let later = now + ACTION_TAKES;
    assert_eq!(processor.find(&intent.id, later).map(|intent| intent.status), Some(IntentState::RequiresCapture));
    assert_eq!(
        done(processor.perform("7", GatewayOperation::Capture(intent.id), later).0).status,
        IntentState::Succeeded
    );

    let id = done(processor.perform("9", create("tok_no_action"), now).0).id;
    let status = |processor: &mut Processor| processor.find(&id, later).map(|intent| intent.status);
    assert_eq!(status(&mut processor), Some(IntentState::RequiresAction));
    assert_eq!(
        done(processor.perform("10", GatewayOperation::Cancel(id.clone()), later).0).status,
        IntentState::Canceled
    );
}

#[test]
fn a_slow_refund_is_pending_and_may_fail() {
    let (mut processor, now) = (Processor::default(), Instant::now());
    for (method, first, later) in [
        ("tok_visa", Refunded::Succeeded, Refunded::Succeeded),
        ("tok_refund_late", Refunded::Pending, Refunded::Succeeded),
        ("tok_refund_fails", Refunded::Pending, Refunded::Failed),
    ] {
        let id = done(processor.perform(&format!("{method}-1"), create(method), now).0).id;
        done(processor.perform(&format!("{method}-2"), GatewayOperation::Capture(id.clone()), now).0);
        assert_eq!(processor.refunds(&id, now), []);
        let key = format!("{method}-3");
        done(processor.perform(&key, refund(&id, None), now).0);
        let status = |processor: &mut Processor, at| processor.refunds(&id, at)[0].status;
        assert_eq!(processor.refund_response(&id, &key).map(|refund| refund.status), Some(first));
        assert_eq!((status(&mut processor, now), status(&mut processor, now + REFUND_TAKES)), (first, later));
        let counted = processor.find(&id, now + REFUND_TAKES).map(|intent| intent.refunded);
        assert_eq!(counted, Some(if later == Refunded::Failed { 0 } else { 100 }));
    }
}

#[test]
fn an_uncapturable_intent_can_be_cancelled() {
    let (mut processor, now) = (Processor::default(), Instant::now());
    let id = done(processor.perform("1", create("tok_uncapturable"), now).0).id;
    for key in ["2", "2", "3"] {
        let outcome = processor.perform(key, GatewayOperation::Capture(id.clone()), now).0;
        assert!(
            matches!(outcome, CreationOutcome::Uncapturable(Intent { status: IntentState::RequiresCapture, .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(done(processor.perform("4", GatewayOperation::Cancel(id), now).0).status, IntentState::Canceled);
}
