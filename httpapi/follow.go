package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"faasctl/core"

	"github.com/danielgtaylor/huma/v2"
)

const followDoc = "With follow=true the answer is a stream, from what was printed so far to the task's end: server-sent events of kind output " +
	"(a part of one stream; times are pairs of an offset and milliseconds since the attempt started; cut counts the bytes before it that nobody " +
	"kept) and of kind task (its record, at first and whenever its state, attempt or progress changes; the last one has ended). A message's id " +
	"is the place to go on from, as after or Last-Event-ID. With format=text it is both streams as plain text, as they come."

// followLogs writes what a task prints, as it does, until it has ended, the client
// leaves, or the server drains.
func (s *Server) followLogs(ctx context.Context, id core.TaskID, p *taskLogs) (*streamed, error) {
	after := p.After
	if after == "" {
		after = p.LastEvent
	}
	from, err := core.ParsePosition(after)
	if err != nil {
		return nil, s.refusal(ctx, err)
	}
	if p.Attempt > 0 {
		return nil, s.refusal(ctx, core.Errorf(core.ErrInvalid, "", "follow and attempt do not go together").WithHint("an attempt's output is kept when it has ended"))
	}
	if _, err := s.service.Task(ctx, id); err != nil {
		return nil, s.refusal(ctx, err)
	}
	return &streamed{func(huma.Context) {
		patient, cancel := s.patient(ctx)
		defer cancel()
		out := &liveWriter{eventWriter: eventWriter{x: exchangeOf(ctx), patience: s.cfg.WriteTimeout}, plain: p.Format == "text"}
		out.begin()
		if out.x.r.Method != http.MethodHead && out.flush() == nil {
			s.tellLogs(patient, id, from, out)
		}
	}}, nil
}

// tellLogs follows through troubles of the store.
func (s *Server) tellLogs(ctx context.Context, id core.TaskID, from core.Position, out *liveWriter) {
	beating, stop := context.WithCancel(ctx)
	var beats sync.WaitGroup
	beats.Go(func() { out.beat(beating, s.cfg.Heartbeat) })
	defer beats.Wait()
	defer stop()
	for {
		err := s.service.Follow(ctx, id, from, func(n core.News) error {
			from = n.Position
			return out.news(n)
		})
		if err == nil || ctx.Err() != nil || core.ClassOf(err) != core.ErrUnavailable {
			return
		}
		pause(ctx, storePause)
	}
}

// liveWriter writes news of one task, and comments while there is none.
type liveWriter struct {
	mu sync.Mutex
	eventWriter
	plain bool
}

func (w *liveWriter) begin() {
	if !w.plain {
		w.eventWriter.begin()
		return
	}
	w.x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.x.w.Header().Set("X-Accel-Buffering", "no") // for a proxy in between
	w.x.w.WriteHeader(http.StatusOK)
	_ = w.x.controller().Flush()
}

func (w *liveWriter) news(n core.News) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.plain && n.Heard != nil:
		if n.Heard.Cut > 0 {
			w.buffer.Write(cutMark(n.Heard.Cut))
		}
		w.buffer.Write(n.Heard.Data)
	case w.plain:
	case n.Heard != nil:
		w.numbered(n.Position.String(), "output", n.Heard)
	case n.Task != nil:
		w.numbered(n.Position.String(), "task", n.Task)
	}
	return w.flush()
}

// beat keeps a quiet stream alive.
func (w *liveWriter) beat(ctx context.Context, every time.Duration) {
	if w.plain {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		w.comment("nothing new")
		err := w.flush()
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}
