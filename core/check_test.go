package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// service is a Service over the rig's store.
func (r *rig) service() *core.Service {
	r.Helper()
	s, err := core.NewService(core.ServiceConfig{Store: r.Store, Python: "3.11"})
	r.must(err)
	return s
}

func TestACheckAsksEveryWorkerThatCouldRunIt(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		r.transport.Join("w-old", 2, 4, core.Interpreter{Version: "3.9.18"})
		young := r.transport.Join("w-young", 2, 4, core.Interpreter{Version: "3.12.1"})
		silent := r.transport.Join("w-silent", 2, 4, core.Interpreter{Version: "3.13.0"})
		synctest.Wait()
		done := make(chan []core.WorkerCheck, 1)
		began := time.Now()
		go func() {
			all, err := r.service().Check(r.ctx, core.Check{Codec: core.Source, Python: ">=3.10", Imports: []string{"numpy", "os"}})
			r.must(err)
			done <- all
		}()
		synctest.Wait()
		asked := young.Heard().Prepared
		if len(asked) != 1 || len(asked[0].Imports) != 2 || len(silent.Heard().Prepared) != 1 {
			t.Fatalf("asked: %+v", asked)
		}
		young.Say(core.UpPrepared{Preparation: core.Preparation{Function: asked[0].Function.ID, State: core.Prepared, Python: "3.12.1", Missing: []string{"numpy"}}})
		for waiting := true; waiting; {
			r.pass(time.Second, young, silent)
			select {
			case all := <-done:
				waiting = false
				if took := time.Since(began); took < 4*time.Second || took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
				for _, a := range all {
					switch {
					case a.Worker == "w-old" && a.Lacks == "has Python 3.9.18 without dill" && !a.Answered:
					case a.Worker == "w-young" && a.Lacks == "" && a.Answered && len(a.Missing) == 1 && a.Missing[0] == "numpy":
					case a.Worker == "w-silent" && a.Lacks == "" && !a.Answered:
					default:
						t.Errorf("%+v", a)
					}
				}
				if len(all) != 3 {
					t.Errorf("%d answers", len(all))
				}
			default:
				if time.Since(began) > time.Minute {
					t.Fatal("no answer")
				}
			}
		}
	})
}

func TestARegistrationHasWorkersMakeWhatItDependsOn(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		old := r.transport.Join("w-old", 2, 4, core.Interpreter{Version: "3.9.18"})
		young := r.transport.Join("w-young", 2, 4, core.Interpreter{Version: "3.12.1"})
		synctest.Wait()
		s := r.service()
		register := core.RegisterRequest{Name: "f", Codec: core.Source, Entry: "f", Body: []byte("def f(): pass"), Python: " >= 3.10 ", Dependencies: []string{"b", "a", "b"}}
		done, err := s.Register(r.ctx, register)
		r.must(err)
		if f := done.Function; f.Python != ">=3.10" || len(f.Dependencies) != 2 || f.Dependencies[0] != "a" || done.Unfit != "" {
			t.Fatalf("%+v", done)
		}
		synctest.Wait()
		asked := young.Heard().Prepared
		if len(asked) != 1 || asked[0].Function.ID != done.Function.ID || asked[0].Function.Body != nil || asked[0].Imports != nil || len(old.Heard().Prepared) != 0 {
			t.Fatalf("asked: %+v, %+v", asked, old.Heard().Prepared)
		}
		for _, state := range []core.PreparationState{core.Preparing, core.Prepared} {
			young.Say(core.UpPrepared{Preparation: core.Preparation{Function: done.Function.ID, State: state, Text: "a line"}})
			r.pass(2*time.Second, young, old)
			roster, err := r.Roster(r.ctx)
			r.must(err)
			for _, w := range roster.Workers {
				if w.ID == "w-young" && (len(w.Preparations) != 1 || w.Preparations[0].State != state) {
					t.Fatalf("%+v", w.Preparations)
				}
			}
		}
		again, err := s.Register(r.ctx, register)
		r.must(err)
		if again.Outcome != core.RegisteredSame || again.Function.ID != done.Function.ID {
			t.Fatalf("%+v", again)
		}
		register.Dependencies = []string{"a"}
		other, err := s.Register(r.ctx, register)
		r.must(err)
		if other.Function.ID == done.Function.ID {
			t.Fatal("other dependencies are the same function")
		}
		register.Python = "3.7"
		nowhere, err := s.Register(r.ctx, register)
		r.must(err)
		if nowhere.Unfit == "" {
			t.Fatal("it fits nowhere, and nothing is said")
		}
		register.Dependencies = []string{"--index-url=x"}
		_, err = s.Register(r.ctx, register)
		wantClass(t, err, core.ErrInvalid, "--index-url")
		register.Dependencies, register.Python = nil, "three"
		_, err = s.Register(r.ctx, register)
		wantClass(t, err, core.ErrInvalid, "three")
	})
}
