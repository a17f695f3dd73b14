// Package chaos shows that no task is lost and none is settled twice, whatever is
// killed, stopped or cut off. Its tests start a redis-server, APIs, dispatchers and
// workers as processes of their own, hand in tasks while faults strike at random
// from a seed, and write down a History. Check holds the history against what
// faasctl promises; it shares no code with what it judges, and is itself tried on
// histories and on processes with planted bugs.
//
//	make chaos SEED=7   three seeds beginning with 7, in all modes
package chaos
