package abi

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// AtEnd is called when a hook is done.
var AtEnd = func() {}

// Levels of a line in the log.
const (
	LevelTrace uint32 = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

// What a panic said, and where it was: the first function on the stack that is not the runtime's, nor of this module.
// To be called where the panic is recovered.
func described(cause any) string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	for {
		frame, more := frames.Next()
		if frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("panic at %s:%d: %v", path.Base(frame.File), frame.Line, cause)
		}
		if !more {
			return fmt.Sprintf("panic: %v", cause)
		}
	}
}
