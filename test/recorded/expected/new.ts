// What a replay of the streams recorded from OpenClaw 2026.9.6 must give.
// Numbers in the comments are ms after the first line of the stream: of the line itself, and in brackets of the time that
// the line gives as startedAt or endedAt. Run and session ids are cut to their first eight digits there.

import type { Expectation } from "./types.ts";

export const expectedNew: Record<string, Expectation> = {
	// 2548: the send admits def28bbb under session 6f6c48ef. 3988: its start (startedAt 3985), applied.
	// 5047 is finishing, progress only. 5082: its end (startedAt 3985, endedAt 5076, aborted false), applied: completed.
	// The row is ended, 5076 - 3985 = 1091 ms.
	// No row is at odds: 1136 says no active run and no status, then running with one up to 4020, done without from 5156.
	"new-normal": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-normal-mws107o2",
				generation: 1,
				sessionId: "6f6c48ef-5bff-489f-9fd5-ee617a617f7e",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363391393,
				endedAt: 1795363392484,
				runtimeMs: 1091,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-normal-mws107o2",
				generation: 1,
				runId: "def28bbb-f1d7-4483-9f56-932e78e8afba",
				sessionId: "6f6c48ef-5bff-489f-9fd5-ee617a617f7e",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363391393,
				endedAt: 1795363392484,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 13: the send admits 8fa9666a. 261: its start (startedAt 258), applied.
	// 385: the abort tells it to stop. 411: its end (aborted, startedAt 23, endedAt 404), applied: aborted by abort.
	// The start's 258 stands against the end's 23: 404 - 258 = 146 ms.
	// 470: its error (endedAt 465), after it settled: duplicate. The host's rows take 465 from it; the run keeps 404.
	// No row is at odds: running with an active run up to 287, killed without one from 531.
	"new-abort": {
		reports: { applied: 2, archived: 0, duplicate: 1, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-abort-mws10chp",
				generation: 1,
				sessionId: "4fde9c9f-fe64-4135-bd0a-e84ff12926ca",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "aborted",
				lastError: null,
				startedAt: 1795363393876,
				endedAt: 1795363394022,
				runtimeMs: 146,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-abort-mws10chp",
				generation: 1,
				runId: "8fa9666a-26be-45fc-9c44-b588b5f2a891",
				sessionId: "4fde9c9f-fe64-4135-bd0a-e84ff12926ca",
				outcome: "aborted",
				stoppedBy: "abort",
				error: null,
				startedAt: 1795363393876,
				endedAt: 1795363394022,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 14: the send admits 66624131. 278: its start (startedAt 275). 399: the abort.
	// 414: its end (aborted, startedAt 16, endedAt 403), applied: aborted by abort, from 275 to 403.
	// 434: the second send admits baac7d9a. 449: the error of 66624131, already settled: duplicate.
	// 694: the start of baac7d9a (startedAt 691). 2763: its end (endedAt 2758): completed, 2758 - 691 = 2067 ms.
	// No row is at odds: each says running with an active run, from 2796 on done without one.
	"new-abort-then-send": {
		reports: { applied: 4, archived: 0, duplicate: 1, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-abort-then-send-mws10cyp",
				generation: 1,
				sessionId: "6848402b-2b01-4576-8252-2db80e2727af",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363394917,
				endedAt: 1795363396984,
				runtimeMs: 2067,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-abort-then-send-mws10cyp",
				generation: 1,
				runId: "66624131-3a13-43da-b1cd-f1bc59c20e57",
				sessionId: "6848402b-2b01-4576-8252-2db80e2727af",
				outcome: "aborted",
				stoppedBy: "abort",
				error: null,
				startedAt: 1795363394501,
				endedAt: 1795363394629,
			},
			{
				sessionKey: "agent:main:lab-abort-then-send-mws10cyp",
				generation: 1,
				runId: "baac7d9a-b72d-4447-8001-bbdf51f2e73f",
				sessionId: "6848402b-2b01-4576-8252-2db80e2727af",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363394917,
				endedAt: 1795363396984,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 12: the send admits 75a6ba10. 244: its start (startedAt 241), applied.
	// 365: the delete ends generation 1, tells the run to stop and opens a hidden generation.
	// 414: its error (endedAt 409, aborted), 49 ms later: an end with outcome aborted, archived. It was stopped by the delete.
	// 4595: the create has no line of its own, so the key stays hidden: no row.
	// At odds: the row of 402 (running, no active run). The rows of 470 and 471 say killed and no active run.
	"new-delete-midrun": {
		reports: { applied: 1, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [],
		runs: [
			{
				sessionKey: "agent:main:lab-delete-midrun-mws10plv",
				generation: 1,
				runId: "75a6ba10-6323-4358-8620-c29e32c47b52",
				sessionId: "0b89a354-05b4-4330-9457-4ed8a5321180",
				outcome: "aborted",
				stoppedBy: "delete",
				error: null,
				startedAt: 1795363410852,
				endedAt: 1795363411020,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-delete-midrun-mws10plv",
				generation: 1,
				endedBy: "delete",
				sessionIds: ["0b89a354-05b4-4330-9457-4ed8a5321180"],
			},
		],
		hostRowsAtOdds: 1,
	},
	// 9: the send admits 306d7b71. 211: its start (startedAt 208), applied.
	// The host tries again with the same run id: starts at 1706, 4945, 10075, 16535 and 35448, each of a run that has
	// started: five duplicates. The first startedAt stands.
	// The six finishing lines (538 to 35780) are progress. No end and no error comes before the stream stops at 37530.
	// So the run is still live: running, no outcome, no end, no running time.
	// No row is at odds: each says running with an active run.
	"new-drop": {
		reports: { applied: 1, archived: 0, duplicate: 5, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-drop-mws114ag",
				generation: 1,
				sessionId: "4447771d-7ca2-4c8f-ba7f-1a33d25a09f5",
				status: "running",
				hasActiveRun: true,
				lastOutcome: null,
				lastError: null,
				startedAt: 1795363429935,
				endedAt: null,
				runtimeMs: null,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-drop-mws114ag",
				generation: 1,
				runId: "306d7b71-4ef5-4642-ab79-ebb726d6a359",
				sessionId: "4447771d-7ca2-4c8f-ba7f-1a33d25a09f5",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: 1795363429935,
				endedAt: null,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 9: the send admits 9bbb1081. 251: its start (startedAt 247), applied.
	// 290 is finishing and 319 a fallback_step, both progress.
	// 348: its error (endedAt 341, aborted false), applied: failed with the text of the line, 341 - 247 = 94 ms.
	// No row is at odds: running with an active run up to 138, failed without one from 398.
	"new-error400": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-error400-mws10pyq",
				generation: 1,
				sessionId: "77b01764-6c08-485f-9203-0761cc68e7fc",
				status: "failed",
				hasActiveRun: false,
				lastOutcome: "failed",
				lastError:
					"LLM request failed: provider rejected the request schema or tool payload.",
				startedAt: 1795363411352,
				endedAt: 1795363411446,
				runtimeMs: 94,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-error400-mws10pyq",
				generation: 1,
				runId: "9bbb1081-c47e-4927-b69d-30443c7bd101",
				sessionId: "77b01764-6c08-485f-9203-0761cc68e7fc",
				outcome: "failed",
				stoppedBy: null,
				error:
					"LLM request failed: provider rejected the request schema or tool payload.",
				startedAt: 1795363411352,
				endedAt: 1795363411446,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 11: be12cbb9 admitted. 229: its start (startedAt 226).
	// 349 and 362: ef4031c2 and a75736c3 admitted. No lifecycle line names them: both stay reservations.
	// 3306: the end of be12cbb9 (endedAt 3297): completed, 3297 - 226 = 3071 ms.
	// 3463 and 4023: start and end of f2256dcb, the host's own run for the two collected messages. No answer names it: unknown.
	// So the row stays that of be12cbb9.
	// No row is at odds: 3336 and from 4054 on done without an active run, the others running with one.
	"new-overlap-collect": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 2, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-collect-mws10kra",
				generation: 1,
				sessionId: "7645cb80-c8a4-4dd0-9481-cf18542e34d3",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363404668,
				endedAt: 1795363407739,
				runtimeMs: 3071,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-collect-mws10kra",
				generation: 1,
				runId: "be12cbb9-2df2-44a9-8686-01e315839bde",
				sessionId: "7645cb80-c8a4-4dd0-9481-cf18542e34d3",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363404668,
				endedAt: 1795363407739,
			},
			{
				sessionKey: "agent:main:lab-overlap-collect-mws10kra",
				generation: 1,
				runId: "ef4031c2-a01e-4bbf-af5a-33024d33d7e7",
				sessionId: "7645cb80-c8a4-4dd0-9481-cf18542e34d3",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
			{
				sessionKey: "agent:main:lab-overlap-collect-mws10kra",
				generation: 1,
				runId: "a75736c3-0c57-4db6-9837-10fc5647061f",
				sessionId: "7645cb80-c8a4-4dd0-9481-cf18542e34d3",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 13: 97dc08a5 admitted. 262: its start (startedAt 259).
	// 390 and 408: 46a7d2b1 and 31e36ca7 admitted. No lifecycle line names them: both stay reservations.
	// 3339: the end of 97dc08a5 (endedAt 3335): completed, 3335 - 259 = 3076 ms.
	// 3519 and 4580: start and end of 7adc80ad. 4735: start of eb7cfbcd, after which the stream stops.
	// Both are the host's own runs, named by no answer: three unknown reports. The row stays that of 97dc08a5.
	// No row is at odds: 3376 says done without an active run, the others running with one.
	"new-overlap-followup": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 3, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-followup-mws10i3s",
				generation: 1,
				sessionId: "5550c8ed-1d0b-4c96-a1b5-0d42a86c6ff5",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363401150,
				endedAt: 1795363404226,
				runtimeMs: 3076,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-followup-mws10i3s",
				generation: 1,
				runId: "97dc08a5-2593-42cb-abc2-26ec0a9bfbc7",
				sessionId: "5550c8ed-1d0b-4c96-a1b5-0d42a86c6ff5",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363401150,
				endedAt: 1795363404226,
			},
			{
				sessionKey: "agent:main:lab-overlap-followup-mws10i3s",
				generation: 1,
				runId: "46a7d2b1-506b-4efe-b80b-7559414aee32",
				sessionId: "5550c8ed-1d0b-4c96-a1b5-0d42a86c6ff5",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
			{
				sessionKey: "agent:main:lab-overlap-followup-mws10i3s",
				generation: 1,
				runId: "31e36ca7-e65c-4f41-ab8f-24def7f50d89",
				sessionId: "5550c8ed-1d0b-4c96-a1b5-0d42a86c6ff5",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 13: f651797b admitted. 247: its start (startedAt 244). 368: the second send admits 5b53207e.
	// 403: the error of f651797b (endedAt 397, aborted), which the host itself counts as killed: an end with outcome aborted.
	// A send is no abort, so no command told it to stop.
	// 422: dcb22172 admitted. No lifecycle line names 5b53207e: it stays a reservation.
	// 741: the start of dcb22172 (startedAt 739). 1298: its end (endedAt 1292): completed, 1292 - 739 = 553 ms.
	// No row is at odds: each says running with an active run, from 1332 on done without one.
	"new-overlap-interrupt": {
		reports: { applied: 4, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws10lu5",
				generation: 1,
				sessionId: "2717d5d6-1ac5-4ad3-93a8-64918e6f0bc4",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363406465,
				endedAt: 1795363407018,
				runtimeMs: 553,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws10lu5",
				generation: 1,
				runId: "f651797b-a06d-49cc-9a07-f4e1b375ddff",
				sessionId: "2717d5d6-1ac5-4ad3-93a8-64918e6f0bc4",
				outcome: "aborted",
				stoppedBy: null,
				error: null,
				startedAt: 1795363405970,
				endedAt: 1795363406123,
			},
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws10lu5",
				generation: 1,
				runId: "5b53207e-218b-482b-bfea-97092d1dc60b",
				sessionId: "2717d5d6-1ac5-4ad3-93a8-64918e6f0bc4",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
			{
				sessionKey: "agent:main:lab-overlap-interrupt-mws10lu5",
				generation: 1,
				runId: "dcb22172-835d-446e-9cca-ac391972bf52",
				sessionId: "2717d5d6-1ac5-4ad3-93a8-64918e6f0bc4",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363406465,
				endedAt: 1795363407018,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 13: the send admits 66767e80. 274: its start (startedAt 270).
	// 396: the second send admits ba0d14c4. The host hands its message to the running run; no lifecycle line names
	// ba0d14c4, so it stays a reservation.
	// 4420: the end of 66767e80 (endedAt 4412): completed, 4412 - 270 = 4142 ms.
	// No row is at odds: running with an active run up to 3374, done without one from 4456.
	"new-overlap": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-overlap-mws10dnz",
				generation: 1,
				sessionId: "3224cc7b-1d1d-47a9-be17-12f2ae6c7614",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363395415,
				endedAt: 1795363399557,
				runtimeMs: 4142,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-overlap-mws10dnz",
				generation: 1,
				runId: "66767e80-4d93-40c6-ad1c-899de639feda",
				sessionId: "3224cc7b-1d1d-47a9-be17-12f2ae6c7614",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363395415,
				endedAt: 1795363399557,
			},
			{
				sessionKey: "agent:main:lab-overlap-mws10dnz",
				generation: 1,
				runId: "ba0d14c4-e4cc-4dcf-9b5f-9174790c4c2e",
				sessionId: "3224cc7b-1d1d-47a9-be17-12f2ae6c7614",
				outcome: null,
				stoppedBy: null,
				error: null,
				startedAt: null,
				endedAt: null,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 2 and 12: parent and child are created, which has no line. 25: the send admits 37f2823d for the child.
	// 243: its start (startedAt 240).
	// 1543: the parent is reset. Nothing was admitted under its key, so the key is unknown: the reset creates generation 1,
	// idle, with the session id of the answer (94ed082a, the one it was created with), and no generation ends.
	// 4314: the child's run ends (endedAt 4310): completed, 4310 - 240 = 4070 ms.
	// No row is at odds: the parent's rows say no active run and no status.
	"new-parent-child": {
		reports: { applied: 2, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-parent-child-mws11xk6",
				generation: 1,
				sessionId: "94ed082a-5893-4abb-a753-5d09a7f51493",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:lab-parent-child-mws11xk6-child",
				generation: 1,
				sessionId: "35e0edd4-5c6c-46d1-a700-64f5ebf0158c",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363467816,
				endedAt: 1795363471886,
				runtimeMs: 4070,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-parent-child-mws11xk6-child",
				generation: 1,
				runId: "37f2823d-0adb-439e-8124-60506a0e3c17",
				sessionId: "35e0edd4-5c6c-46d1-a700-64f5ebf0158c",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363467816,
				endedAt: 1795363471886,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// 24: the send admits f81a3c39. 3625: its start (startedAt 3618), applied.
	// 4135: the reset ends generation 1 and tells the run to stop. Generation 2 keeps session 093c1245.
	// 4200: its end (aborted, endedAt 4195), 65 ms later: archived, aborted by reset.
	// The session id is that of both generations; the run's record is in the first, so generation 2 stays idle.
	// No row is at odds: running with an active run up to 3762, no status and no active run from 4267.
	"new-reset-hang": {
		reports: { applied: 1, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-hang-mws107o3",
				generation: 2,
				sessionId: "093c1245-29cc-4a25-8d3b-2864ef6ad3c2",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-hang-mws107o3",
				generation: 1,
				runId: "f81a3c39-9fb5-4558-b557-9a168f3efa79",
				sessionId: "093c1245-29cc-4a25-8d3b-2864ef6ad3c2",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363391243,
				endedAt: 1795363391820,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-hang-mws107o3",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["093c1245-29cc-4a25-8d3b-2864ef6ad3c2"],
			},
		],
		hostRowsAtOdds: 0,
	},
	// 14: the send admits b5b8c9c6. 3561: its start (startedAt 3557), applied.
	// 3855: the reset ends generation 1 and tells the run to stop. Generation 2 keeps session 74ec9720.
	// 3902: its end (aborted, endedAt 3889), 47 ms later: archived, aborted by reset.
	// Generation 2 is idle with no times, and nothing else comes.
	// No row is at odds: running with an active run up to 3875, no status and no active run from 3935.
	"new-reset-midrun": {
		reports: { applied: 1, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-midrun-mws107o3",
				generation: 2,
				sessionId: "74ec9720-2fd2-428e-978a-2cf59eacaa15",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-midrun-mws107o3",
				generation: 1,
				runId: "b5b8c9c6-1615-44b2-a53d-abfd7d66ea86",
				sessionId: "74ec9720-2fd2-428e-978a-2cf59eacaa15",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363391344,
				endedAt: 1795363391676,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-midrun-mws107o3",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["74ec9720-2fd2-428e-978a-2cf59eacaa15"],
			},
		],
		hostRowsAtOdds: 0,
	},
	// 10: the send admits 5d087379. 230: its start (startedAt 228).
	// 346: the reset ends generation 1; generation 2 keeps session 6e867521.
	// 386: the run's end (aborted, endedAt 381), 40 ms later: archived, aborted by reset.
	// 411: the second send admits 9ecc51ce in generation 2. 597: its start (startedAt 594), the session is free.
	// 21751: its end (endedAt 21745): completed, 21745 - 594 = 21151 ms.
	// At odds: the row of 375 (running, no active run).
	"new-reset-then-long-run": {
		reports: { applied: 3, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws11mvs",
				generation: 2,
				sessionId: "6e867521-f162-4a66-866b-96d31305ef64",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363454332,
				endedAt: 1795363475483,
				runtimeMs: 21151,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws11mvs",
				generation: 1,
				runId: "5d087379-21c5-4724-94c5-2431bb742f94",
				sessionId: "6e867521-f162-4a66-866b-96d31305ef64",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363453966,
				endedAt: 1795363454119,
			},
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws11mvs",
				generation: 2,
				runId: "9ecc51ce-082b-4600-a6bf-529e3f1310a6",
				sessionId: "6e867521-f162-4a66-866b-96d31305ef64",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363454332,
				endedAt: 1795363475483,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-then-long-run-mws11mvs",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["6e867521-f162-4a66-866b-96d31305ef64"],
			},
		],
		hostRowsAtOdds: 1,
	},
	// 19: the send admits 431c990d. 3570: its start (startedAt 3563).
	// 3719: the reset ends generation 1; generation 2 keeps session 376fa644.
	// 3820: the run's end (aborted, endedAt 3812), 101 ms later: archived, aborted by reset.
	// 3870: the second send admits 21d84e24 in generation 2. 4277: its start (startedAt 4274). 6370: its end (endedAt 6368).
	// It completed in 6368 - 4274 = 2094 ms.
	// At odds: the row of 3790 (running, no active run).
	"new-reset-then-send": {
		reports: { applied: 3, archived: 1, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-reset-then-send-mws107o6",
				generation: 2,
				sessionId: "376fa644-bf08-4507-b5f1-ded17efab1ab",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363392006,
				endedAt: 1795363394100,
				runtimeMs: 2094,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-reset-then-send-mws107o6",
				generation: 1,
				runId: "431c990d-d016-47f8-8626-ec8af32d5eba",
				sessionId: "376fa644-bf08-4507-b5f1-ded17efab1ab",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795363391295,
				endedAt: 1795363391544,
			},
			{
				sessionKey: "agent:main:lab-reset-then-send-mws107o6",
				generation: 2,
				runId: "21d84e24-2a73-4292-b515-ba5f964178ba",
				sessionId: "376fa644-bf08-4507-b5f1-ded17efab1ab",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363392006,
				endedAt: 1795363394100,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:lab-reset-then-send-mws107o6",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["376fa644-bf08-4507-b5f1-ded17efab1ab"],
			},
		],
		hostRowsAtOdds: 1,
	},
	// 14: the send admits 1c105b75. 1170: its start (startedAt 1165).
	// 1297: the steer admits 9f538c8f (its answer comes at 1348) and is no abort: nobody told 1c105b75 to stop.
	// 1335: the error of 1c105b75 (endedAt 1330, aborted), which the host itself counts as killed: an end with outcome aborted.
	// 1549: the start of 9f538c8f says startedAt 1545. 2612: its end (endedAt 2608): completed, 2608 - 1545 = 1063 ms.
	// No row is at odds: each says running with an active run, from 2644 on done without one.
	"new-steer": {
		reports: { applied: 4, archived: 0, duplicate: 0, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:lab-steer-mws11ihm",
				generation: 1,
				sessionId: "ac5074a8-79c0-422f-983d-0730fd8fbb46",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795363449588,
				endedAt: 1795363450651,
				runtimeMs: 1063,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:lab-steer-mws11ihm",
				generation: 1,
				runId: "1c105b75-a9ac-4060-94ca-d69755fed672",
				sessionId: "ac5074a8-79c0-422f-983d-0730fd8fbb46",
				outcome: "aborted",
				stoppedBy: null,
				error: null,
				startedAt: 1795363449208,
				endedAt: 1795363449373,
			},
			{
				sessionKey: "agent:main:lab-steer-mws11ihm",
				generation: 1,
				runId: "9f538c8f-bb5d-4ca3-a710-24188dce1842",
				sessionId: "ac5074a8-79c0-422f-983d-0730fd8fbb46",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795363449588,
				endedAt: 1795363450651,
			},
		],
		archive: [],
		hostRowsAtOdds: 0,
	},
	// plug-cycle. 216: a923ace8 admitted, 3097 start (3090), 3761 end (3753): completed. 6299: reset to generation 2.
	// 6387: 202505e1 admitted, 6668 start (6664). 7370: reset to generation 3. 7439: its end (aborted, 7432) is archived.
	// 8263: the delete ends generation 3, in which nothing ran; all three had session 82b78d07. Its successor is hidden.
	// plug-late-end. 10183: 101a2adb admitted, 10475 start (10471), 11188 reset, 11225 end (11219) archived. 24487: the
	// plugin's late end, duplicate: generation 2 stays idle although the host's row of 24503 says done.
	// plug-late-error. 41214: 23efebb0, 41847 start (41842), 42552 reset, 42594 end (42587) archived. 43660: late error, duplicate.
	// plug-late-start. 60381: 4491d871, 60688 start (60684), 61396 reset, 61436 end (61430) archived. 62488: the plugin's late
	// start of a settled run, duplicate.
	// plug-late-vs-new. 79211: ef0b7f3d, 79518 start (79514), 80220 reset, 80263 end (80257) archived. 80296: cb429b3e admitted
	// in generation 2, 80686 start (80682). 81401 and 82214: two late ends of ef0b7f3d, duplicates. 88793: the end of cb429b3e
	// (endedAt 88785): 88785 - 80682 = 8103 ms.
	// Reports: applied 3 + 1 + 1 + 1 + 3, archived one a key, duplicate 0 + 1 + 1 + 1 + 2.
	// At odds: the rows of 7417, 61444, 61445, 61446 and 62503 (running, no active run). The last one stays.
	"new-plugin-late-harness-event": {
		reports: { applied: 9, archived: 5, duplicate: 5, unknown: 0, refused: 0 },
		rows: [
			{
				sessionKey: "agent:main:plug-late-end",
				generation: 2,
				sessionId: "e9d52b43-f2f1-4eb5-b657-0336b4a6dbe9",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:plug-late-error",
				generation: 2,
				sessionId: "d87f41f6-4026-4be8-877c-1d8bb5b31ce4",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:plug-late-start",
				generation: 2,
				sessionId: "6cb83090-4506-4f14-bfdd-7b2c77ef64a4",
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 2,
				sessionId: "f0280124-4437-435f-ab4e-6094e0429fd0",
				status: "ended",
				hasActiveRun: false,
				lastOutcome: "completed",
				lastError: null,
				startedAt: 1795364963358,
				endedAt: 1795364971461,
				runtimeMs: 8103,
			},
		],
		runs: [
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 1,
				runId: "a923ace8-e2d9-467e-835c-3563efcbecb7",
				sessionId: "82b78d07-c8c9-4cf0-9e4a-24565fb8f0e3",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795364885766,
				endedAt: 1795364886429,
			},
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 2,
				runId: "202505e1-82fd-4344-b3c0-9c12053b1ffb",
				sessionId: "82b78d07-c8c9-4cf0-9e4a-24565fb8f0e3",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364889340,
				endedAt: 1795364890108,
			},
			{
				sessionKey: "agent:main:plug-late-end",
				generation: 1,
				runId: "101a2adb-fa73-48a5-a86a-d329a38938c2",
				sessionId: "e9d52b43-f2f1-4eb5-b657-0336b4a6dbe9",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364893147,
				endedAt: 1795364893895,
			},
			{
				sessionKey: "agent:main:plug-late-error",
				generation: 1,
				runId: "23efebb0-fa7d-4b67-88c2-99d47c063dd3",
				sessionId: "d87f41f6-4026-4be8-877c-1d8bb5b31ce4",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364924518,
				endedAt: 1795364925263,
			},
			{
				sessionKey: "agent:main:plug-late-start",
				generation: 1,
				runId: "4491d871-bf1e-4945-880e-8a8a27192d4d",
				sessionId: "6cb83090-4506-4f14-bfdd-7b2c77ef64a4",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364943360,
				endedAt: 1795364944106,
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 1,
				runId: "ef0b7f3d-2749-42f0-bc8c-f69c4372418b",
				sessionId: "f0280124-4437-435f-ab4e-6094e0429fd0",
				outcome: "aborted",
				stoppedBy: "reset",
				error: null,
				startedAt: 1795364962190,
				endedAt: 1795364962933,
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 2,
				runId: "cb429b3e-6666-420b-be06-1bfea34a09c7",
				sessionId: "f0280124-4437-435f-ab4e-6094e0429fd0",
				outcome: "completed",
				stoppedBy: null,
				error: null,
				startedAt: 1795364963358,
				endedAt: 1795364971461,
			},
		],
		archive: [
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["82b78d07-c8c9-4cf0-9e4a-24565fb8f0e3"],
			},
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 2,
				endedBy: "reset",
				sessionIds: ["82b78d07-c8c9-4cf0-9e4a-24565fb8f0e3"],
			},
			{
				sessionKey: "agent:main:plug-cycle",
				generation: 3,
				endedBy: "delete",
				sessionIds: ["82b78d07-c8c9-4cf0-9e4a-24565fb8f0e3"],
			},
			{
				sessionKey: "agent:main:plug-late-end",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["e9d52b43-f2f1-4eb5-b657-0336b4a6dbe9"],
			},
			{
				sessionKey: "agent:main:plug-late-error",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["d87f41f6-4026-4be8-877c-1d8bb5b31ce4"],
			},
			{
				sessionKey: "agent:main:plug-late-start",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["6cb83090-4506-4f14-bfdd-7b2c77ef64a4"],
			},
			{
				sessionKey: "agent:main:plug-late-vs-new",
				generation: 1,
				endedBy: "reset",
				sessionIds: ["f0280124-4437-435f-ab4e-6094e0429fd0"],
			},
		],
		hostRowsAtOdds: 5,
	},
};
