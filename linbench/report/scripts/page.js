// The page of a run.
import { listRows } from "./commands.js";
import { watchCopies } from "./copying.js";
import { drawCurves } from "./curves.js";
import { drawHeatmap } from "./heatmap.js";
import { drawPareto } from "./pareto.js";
import { drawParts } from "./parts.js";
import { drawPosition } from "./position.js";
import { drawReach } from "./reach.js";
import { drawRoofline } from "./roofline.js";
import { stage } from "./stage.js";
import { watch } from "./view.js";

drawCurves();
drawHeatmap();
drawPareto();
drawParts();
drawPosition();
drawReach();
drawRoofline();
stage();
listRows();
watchCopies();
watch();
document.documentElement.dataset.ready = "";
