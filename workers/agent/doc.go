// Package agent is one worker: it takes tasks, runs them on its slots and hands
// in the outcomes, whatever transport it is connected by.
//
// Its one rule: it keeps every outcome until the dispatcher names it as settled,
// and every task it was given either has an outcome, or was given back.
package agent
