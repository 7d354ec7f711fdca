// The texts of the page in English and Chinese. {0}, {1}: what is filled in.
const TEXTS = {
  en: {
    skip: "Skip to the question", other: "中文", otherLang: "zh",
    cameras: "Cameras", goal: "Goal and next step", plans: "Plans", diagnostics: "Diagnostics", ask: "Ask",
    standing: "Standing questions", answers: "Answers", download: "Download as JSON", search: "Search the answers",
    found: "{0} of {1} answers", showAll: "Show all answers",
    question: "Question", questionExample: "What is on the table?", kind: "Kind of answer", window: "Look back (seconds)",
    growingClip: "growing clip", choices: "Choices, one in each line", lookAt: "Cameras to look at", send: "Ask",
    goalLabel: "Goal", goalExample: "put the mug on the desk", setGoal: "Set goal", makePlan: "Make a plan",
    clearGoal: "Clear",
    kinds: { text: "free text", phrase: "short phrase", yes_no: "yes or no", change: "what changed",
      choice: "one of my choices", count: "how many" },
    states: { ok: "live", warning: "live, with a warning", stale: "stale", frozen: "frozen", lost: "lost",
      silent: "no usable picture", inactive: "not active" },
    up: "connected", nodeGone: "node gone", pageGone: "page cut off",
    nodeGoneNotice: "The node does not answer: {0}. The page goes on as soon as the node is back.",
    pageGoneNotice: "The connection to the page's server is lost. Trying again …",
    tooMany: "As many browsers watch as may. Trying again in a while …",
    droppedNotice: "This browser was too slow for {0} events, and shows the newest state now.",
    noCameras: "No cameras yet: the node is not configured.", noPicture: "no picture yet",
    age: "{0} s old", same: "the same picture for {0} s",
    working: "answering …", waiting: "somebody else's question", cancel: "Cancel", cancelled: "cancel asked for",
    lost: "No answer to “{0}”: {1}", noAnswers: "No answers yet.",
    sure: "sure", compared: "Compared answers", frames: "Frames used: {0}", noFrames: "no frame was used",
    evidence: "The frames that results up to {0} rest on, as the node drew them",
    took: "{0} s", yes: "yes", no: "no", answered: "Answer: {0}", refused: "No answer: {0}",
    noGoal: "No goal is set. Set one to get the next step.", nextStep: "Next step", reached: "The goal is reached.",
    unsure: "The model is not sure", cannotTell: "The model cannot tell what to do next.",
    noHint: "No next step: {0}", done: "Done", failed: "Failed", undone: "Undone", doneSteps: "Steps done",
    failedSteps: "Failed: {0}", forGoal: "Goal: {0}", turn: "turn {0}", report: "{0}: {1}",
    noPlans: "No plans yet.", stepCount: "Steps: {0}", planning: "planning: {0}", attempt: "correction {0}",
    outcomes: { NONE: "no plan", ACCEPTED: "accepted", REJECTED: "rejected", CANNOT_TELL: "cannot tell",
      DECOMPOSED: "unchecked sentences" },
    acceptedBy: "judges that accept the steps: {0}", acceptedByNone: "no judge accepts the steps", vocabulary: "vocabulary {0}",
    conditions: "checked goal: {0}", planner: "by the planner",
    stepStatuses: { OK: "can be done", WARNING: "unusual", VIOLATION: "cannot be done" },
    problems: "Problems of the plan", unread: "Could not be read", repairs: "corrected {0} times",
    follow: "Follow this goal", noStanding: "none", notAsked: "no answer yet",
    noDiagnostics: "No diagnostics yet.", model: "Model", queue: "Queue", camera: "Camera {0}",
    levels: { OK: "OK", WARN: "warning", ERROR: "error", STALE: "stale" },
    tokenTitle: "This page needs its token", tokenLabel: "Token (the first line of the server's token file)",
    tokenWrong: "That is not the token.", tokenSend: "Open", failedRequest: "Refused: {0}",
  },
  zh: {
    skip: "跳到提问", other: "English", otherLang: "en",
    cameras: "摄像头", goal: "目标与下一步", plans: "计划", diagnostics: "诊断", ask: "提问",
    standing: "常设问题", answers: "回答", download: "下载 JSON", search: "搜索回答",
    found: "{1} 条回答中的 {0} 条", showAll: "显示全部回答",
    question: "问题", questionExample: "桌上有什么？", kind: "回答类型", window: "回看（秒）",
    growingClip: "持续片段", choices: "选项，每行一个", lookAt: "查看的摄像头", send: "提问",
    goalLabel: "目标", goalExample: "把杯子放到书桌上", setGoal: "设定目标", makePlan: "制定计划", clearGoal: "清除",
    kinds: { text: "自由文本", phrase: "短语", yes_no: "是或否", change: "发生了什么变化", choice: "从选项中选", count: "数量" },
    states: { ok: "实时", warning: "实时，有警告", stale: "画面过期", frozen: "画面冻结", lost: "丢失", silent: "没有可用画面",
      inactive: "未激活" },
    up: "已连接", nodeGone: "节点不在", pageGone: "页面已断开",
    nodeGoneNotice: "节点没有应答：{0}。节点恢复后页面会继续。",
    pageGoneNotice: "与页面服务器的连接已断开，正在重试……",
    tooMany: "浏览器数量已达上限，稍后重试……",
    droppedNotice: "此浏览器太慢，漏掉了 {0} 个事件，现在显示最新状态。",
    noCameras: "还没有摄像头：节点未配置。", noPicture: "还没有画面",
    age: "{0} 秒前", same: "同一画面已持续 {0} 秒",
    working: "正在回答……", waiting: "别处提出的问题", cancel: "取消", cancelled: "已请求取消",
    lost: "“{0}”没有回答：{1}", noAnswers: "还没有回答。",
    sure: "把握", compared: "比较过的回答", frames: "所用帧：{0}", noFrames: "没有使用任何帧",
    evidence: "截至 {0} 的结果所依据的帧（由节点绘制）",
    took: "{0} 秒", yes: "是", no: "否", answered: "回答：{0}", refused: "没有回答：{0}",
    noGoal: "没有设定目标。设定目标后会给出下一步。", nextStep: "下一步", reached: "目标已达成。",
    unsure: "模型没有把握", cannotTell: "模型无法判断下一步。",
    noHint: "没有下一步：{0}", done: "完成", failed: "失败", undone: "撤销", doneSteps: "已完成的步骤",
    failedSteps: "失败：{0}", forGoal: "目标：{0}", turn: "第 {0} 轮", report: "{0}：{1}",
    noPlans: "还没有计划。", stepCount: "步骤：{0}", planning: "正在计划：{0}", attempt: "第 {0} 次修正",
    outcomes: { NONE: "没有计划", ACCEPTED: "通过", REJECTED: "未通过", CANNOT_TELL: "无法判断", DECOMPOSED: "未检查的语句" },
    acceptedBy: "认可这些步骤的检查：{0}", acceptedByNone: "没有检查认可这些步骤", vocabulary: "词汇表 {0}",
    conditions: "已检查的目标：{0}", planner: "由规划器给出",
    stepStatuses: { OK: "可以执行", WARNING: "不寻常", VIOLATION: "无法执行" },
    problems: "计划的问题", unread: "无法读取", repairs: "修正了 {0} 次",
    follow: "以此为目标", noStanding: "无", notAsked: "还没有回答",
    noDiagnostics: "还没有诊断信息。", model: "模型", queue: "队列", camera: "摄像头 {0}",
    levels: { OK: "正常", WARN: "警告", ERROR: "错误", STALE: "过期" },
    tokenTitle: "此页面需要令牌", tokenLabel: "令牌（服务器令牌文件的第一行）",
    tokenWrong: "令牌不对。", tokenSend: "打开", failedRequest: "被拒绝：{0}",
  },
};

/** The language of the browser, unless the user has chosen another one before. */
function firstLanguage() {
  let stored = null;
  try { stored = localStorage.getItem("language"); } catch { /* not allowed here */ }
  return stored in TEXTS ? stored : (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}

let now = firstLanguage();

/** The language of the page: "en" or "zh". */
export const language = () => now;

/** Choose the language, also for the next time. */
export function choose(name) {
  now = name;
  try { localStorage.setItem("language", name); } catch { /* not allowed here */ }
}

/** A text of the page, or an entry of a group of texts; a name that has none is shown as it is. */
export function text(name, ...values) {
  const dot = name.indexOf(".");
  const entry = dot < 0 ? null : name.slice(dot + 1);
  const found = entry === null ? TEXTS[now][name] : TEXTS[now][name.slice(0, dot)][entry];
  if (found === undefined) return entry ?? name;
  return found.replace(/\{(\d)\}/g, (_, number) => String(values[number]));
}
