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

// What a panic said, and where it was: the first function on the stack of the plugin's own package main, or else of any
// but the runtime. To be called where the panic is recovered.
func described(cause any) string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	place := ""
	for {
		frame, more := frames.Next()
		isOwn := strings.HasPrefix(frame.Function, "main.")
		if isOwn || place == "" && frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") {
			place = fmt.Sprintf(" at %s:%d", path.Base(frame.File), frame.Line)
		}
		if isOwn || !more {
			return fmt.Sprintf("panic%s: %v", place, cause)
		}
	}
}
