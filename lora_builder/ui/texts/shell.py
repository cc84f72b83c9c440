"""Texts of the frame: way of steps, sidebar, progress, what can go wrong anywhere."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "title": ("LoRA Dataset Builder", "LoRA 数据集生成器"),
    "share_warning": (
        "Warning: `share` opens this app to anybody who has the address, through servers of Gradio's. "
        "Photos that are uploaded pass through them. Set `login`, and stop the app when you are done.",
        "警告：`share` 会经由 Gradio 的服务器向任何知道网址的人开放本应用，上传的照片会经过这些服务器。"
        "请设置 `login`，用完后请关闭应用。",
    ),
    "too_many_jobs": ("You have {most} jobs at work already.", "您已有 {most} 个任务在进行。"),
    "too_many_jobs_remedy": ("Wait until one ends, or stop one.", "请等待其中一个结束，或停止一个。"),
    "too_busy": ("This server has as many jobs as it takes.", "服务器上的任务已满。"),
    "too_busy_remedy": ("Try again in some minutes.", "请过几分钟再试。"),
    "too_many_pixels": (
        "More than {most} megapixels in an hour, or too many from one place.",
        "一小时内已超过 {most} 百万像素，或同一网络的用量过多。",
    ),
    "too_many_pixels_remedy": (
        "What was measured is kept: run again later to go on.",
        "已分析的部分会保留，请稍后再次运行。",
    ),
    "nav_title": ("LoRA Dataset Builder", "LoRA 数据集生成器"),
    "nav_steps": ("Steps", "步骤"),
    "nav_language": ("Language", "语言"),
    "nav_theme": ("Light or dark", "浅色或深色"),
    "nav_all": ("Run everything", "一键完成"),
    "nav_all_info": (
        "Reads, chooses, crops, captions and packs with the settings as they are.",
        "按当前设置依次读取、挑选、裁剪、撰写描述并打包。",
    ),
    "nav_done": ("done", "已完成"),
    "nav_stale": ("out of date", "已过期"),
    "nav_stale_long": (
        "This step is out of date: something that it depends on has changed.",
        "此步骤已过期：它所依据的内容有改动。",
    ),
    "nav_redo": ("Do this step again", "重做此步骤"),
    "step_photos": ("Photos", "照片"),
    "step_people": ("People", "人物"),
    "step_choose": ("Choose", "挑选"),
    "step_crop": ("Crop", "裁剪"),
    "step_caption": ("Caption", "描述"),
    "step_export": ("Export", "导出"),
    # Sidebar
    "side_title": ("Projects", "项目"),
    "side_new": ("New project", "新建项目"),
    "side_search": ("Search", "搜索"),
    "side_filter": ("State", "状态"),
    "side_all": ("All", "全部"),
    "side_draft": ("draft", "草稿"),
    "side_queued": ("waiting", "排队中"),
    "side_running": ("running", "运行中"),
    "side_ready": ("ready", "已完成"),
    "side_failed": ("failed", "失败"),
    "side_none": ("No project is like that.", "没有符合条件的项目。"),
    "side_empty": (
        "A project holds the photos of one person. Make one, or just add photos.",
        "一个项目对应一个人的照片。请新建项目，或直接添加照片。",
    ),
    "side_more": ("More for {name}", "“{name}”的更多操作"),
    "side_rename": ("Rename", "重命名"),
    "side_save": ("Save", "保存"),
    "side_duplicate": ("Duplicate", "复制"),
    "side_hurry": ("Run next", "优先运行"),
    "side_delete": ("Delete", "删除"),
    "side_delete_sure": (
        "Delete this project, its photos here and its dataset? Folders that were only read stay.",
        "删除此项目、其上传的照片和数据集？仅被读取的文件夹会保留。",
    ),
    "side_delete_yes": ("Yes, delete", "确认删除"),
    "side_no": ("No", "取消"),
    "side_forget": ("Delete my data", "删除我的数据"),
    "side_forget_sure": (
        "Delete all your projects, photos and datasets in this app?",
        "删除您在本应用中的全部项目、照片和数据集？",
    ),
    "side_access": ("API access", "API 访问"),
    "side_access_info": (
        "A token lets your own programs work on these projects.",
        "令牌可让您自己的程序操作这些项目。",
    ),
    "side_access_made": (
        "One token is in use. A new one takes its place.",
        "已有一个令牌在用。新令牌会取代它。",
    ),
    "side_access_once": (
        "Copy it now: it is shown this once. Whoever has it can do what you can.",
        "请立即复制：只显示这一次。持有它的人能做您能做的一切。",
    ),
    "side_access_make": ("Make a token", "生成令牌"),
    "side_access_anew": ("Make a new one", "生成新令牌"),
    "side_access_revoke": ("Revoke it", "吊销"),
    "side_retention": (
        "Projects are deleted {hours} hours after you last used them.",
        "项目会在最后一次使用 {hours} 小时后自动删除。",
    ),
    "side_enter": ("Sign in with Hugging Face", "使用 Hugging Face 登录"),
    "side_enter_info": (
        "Your projects are then there in every browser, those made here included, and can go to the Hub.",
        "登录后可在任何浏览器中找到您的项目，并可推送到 Hub；已在此创建的项目会一并转入账号。",
    ),
    "side_account": ("Signed in as {name}", "已登录：{name}"),
    "side_leave": ("Sign out", "退出登录"),
    "side_log": ("Log of this app", "应用日志"),
    "copy_of": ("{name} (copy)", "{name}（副本）"),
    "unnamed": ("Dataset of {day}", "{day} 的数据集"),
    # Progress
    "stage_ingest": ("Reading the files", "读取文件"),
    "stage_measure": ("Looking at each photo", "分析照片"),
    "stage_decide": ("Choosing", "挑选"),
    "stage_focus": ("Framing", "构图"),
    "stage_crop": ("Cutting", "裁剪"),
    "stage_caption": ("Describing", "撰写描述"),
    "stage_pack": ("Packing", "打包"),
    "progress_title": ("Progress", "进度"),
    "progress_cancel": ("Stop", "停止"),
    "progress_close": ("Close", "关闭"),
    "progress_queued": ("Waiting for {ahead} other run(s) to end.", "前面还有 {ahead} 个任务，请稍候。"),
    "progress_again": ("It is tried again by itself.", "会自动重试。"),
    "progress_starting": ("Starting …", "正在启动……"),
    "progress_free": (
        "free: {cores} cores, {memory} GB memory, {disk} GB disk",
        "可用：{cores} 个核心，{memory} GB 内存，{disk} GB 磁盘",
    ),
    "progress_stopping": ("Stopping …", "正在停止……"),
    "progress_rate": ("{rate} photos a second", "每秒 {rate} 张"),
    "progress_s": ("about {n} s left", "约剩 {n} 秒"),
    "progress_min": ("about {n} min left", "约剩 {n} 分钟"),
    "progress_done": ("Done.", "完成。"),
    "progress_cancelled": (
        "Stopped. What was done is kept: run again to go on.",
        "已停止。已完成的部分会保留，再次运行即可继续。",
    ),
    "progress_bug": (
        "Something went wrong on our side. Your photos are safe; what was done is kept.",
        "程序出了问题。您的照片安然无恙，已完成的部分会保留。",
    ),
    "progress_bug_remedy": (
        "Try again; if it happens again, the app's log says more.",
        "请重试；如再次出现，请查看应用日志。",
    ),
    # Anywhere
    "not_yours": ("This project is not here any more.", "此项目已不存在。"),
    "not_yours_remedy": ("Choose another one, or make a new one.", "请选择其他项目或新建一个。"),
    "no_cookies": ("Your browser keeps no cookies for this page.", "您的浏览器没有为本页保存 Cookie。"),
    "no_cookies_remedy": (
        "Allow them, or open the app in a tab of its own: a cookie is how it knows whose photos are whose.",
        "请允许 Cookie，或在单独的标签页中打开：应用靠它区分照片属于谁。",
    ),
    "no_package": ("There is no package yet.", "尚无训练包。"),
    "no_package_remedy": ("Run everything first.", "请先点击“一键完成”。"),
    "no_picture": ("no picture", "无图片"),
    "nothing_yet": (
        "Nothing is here yet. Add photos in the first step, then run everything.",
        "这里还没有内容。请先在第一步添加照片，然后一键完成。",
    ),
}
