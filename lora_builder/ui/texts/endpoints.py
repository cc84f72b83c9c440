"""Texts of the vision models in the step Caption."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "model_here": (
        "Captions are written on this machine. Use a vision model instead ...",
        "描述由本机撰写。改用视觉模型……",
    ),
    "model_out": ("Captions are written by {models} at {host}", "描述由 {host} 的 {models} 撰写"),
    "model_preset": ("Service or program", "服务或程序"),
    "model_custom": ("Other (OpenAI protocol)", "其他（OpenAI 协议）"),
    "model_url": ("Address", "地址"),
    "model_key": ("Key", "密钥"),
    "model_key_info": (
        "Kept in memory until the app ends, for this address only; never saved.",
        "仅在应用运行期间保存在内存中，只用于此地址，绝不存盘。",
    ),
    "model_key_kept": ("a key is in memory; leave empty to keep it", "内存中已有密钥；留空则继续使用"),
    "model_models": ("Models, first choice first", "模型，按优先顺序"),
    "model_models_info": ("Read the list, or type a name and press Enter.", "读取列表，或输入名称后按回车。"),
    "model_fallback": ("Last resort", "最后备选"),
    "model_fallback_info": ("Asked when all others fail; may be empty.", "其他模型都失败时使用；可留空。"),
    "model_failed": ("A photo that no model could caption", "所有模型都未能描述的照片"),
    "model_failed_block": (
        "stays marked and holds the package",
        "标记为失败，处理前不打包",
    ),
    "model_failed_compose": ("is captioned on this machine", "由本机撰写描述"),
    "model_failed_leave_out": ("is left out", "不放入数据集"),
    "model_list": ("Read the server's models", "读取服务器的模型列表"),
    "model_test": ("Test connection", "测试连接"),
    "model_use": ("Use it", "使用"),
    "model_stop": ("Write on this machine again", "恢复由本机撰写"),
    "model_start": ("Write captions now", "立即撰写描述"),
    "model_key_from": ("Get a key: {url}", "获取密钥：{url}"),
    "model_no_key": ("Needs no key.", "无需密钥。"),
    "model_leaves": ("Photos leave this machine.", "照片会离开本机。"),
    "model_stays": ("Photos stay on this machine.", "照片留在本机。"),
    "model_custom_info": (
        "Any server that speaks the OpenAI protocol, as in https://HOST/v1.",
        "任何支持 OpenAI 协议的服务器，例如 https://HOST/v1。",
    ),
    "model_listed": ("{n} models.", "{n} 个模型。"),
    "model_answers": (
        "{model} at {host} answers, {seconds} s: “{said}”",
        "{host} 的 {model} 有响应，{seconds} 秒：“{said}”",
    ),
    "model_name_one": ("Name a model first.", "请先填写模型。"),
    "model_saved": ("Saved. Agree below, then write captions.", "已保存。请在下方同意，然后撰写描述。"),
    "model_agree": (
        "Up to {n} pictures of this project will be sent to {host}. I agree.",
        "本项目最多 {n} 张图片将发送到 {host}。我同意。",
    ),
    "model_agree_one": (
        "1 picture of this project will be sent to {host}. I agree.",
        "本项目的 1 张图片将发送到 {host}。我同意。",
    ),
    "model_sums": ("What the models did for this project", "各模型在本项目中的用量"),
    "model_column_model": ("Model", "模型"),
    "model_column_requests": ("Requests", "请求"),
    "model_column_pictures": ("Pictures", "图片"),
    "model_column_tokens": ("Tokens in / out", "输入 / 输出词元"),
    "model_column_cost": ("Cost", "费用"),
    "model_column_seconds": ("Seconds each", "平均秒数"),
    "model_column_failures": ("Failures", "失败"),
    "model_unknown": ("not known", "未知"),
    "model_prompt": ("What the model is asked, for one photo", "发给模型的提示词（以一张照片为例）"),
    "model_policy": ("Rules", "规则"),
    "model_style": ("Style", "风格"),
    "model_language": ("Language", "语言"),
    "model_template": ("Template", "模板"),
    "model_no_photo": (
        "The prompt of a photo appears here once photos are chosen.",
        "选好照片后，这里会显示某张照片的提示词。",
    ),
    "model_prompt_of": ("For {name}:", "以 {name} 为例："),
}
